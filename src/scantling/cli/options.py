"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

MODEL_HELP = "A name from `scantling list`, or a .cfg, .json, .safetensors, .pt or .pth file."
ModelOption = Annotated[str, typer.Option(help=MODEL_HELP)]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Weights of a .cfg, or in place of a named model's own.")
]
NamesOption = Annotated[Path | None, typer.Option(help="Class names, one a line.")]
CacheOption = Annotated[
    Path | None,
    typer.Option(envvar="SCANTLING_CACHE", help="Folder for downloaded weights."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

# How a model is run: what `predict` and `evaluate` share.
ImageSizeOption = Annotated[
    str | None, typer.Option(metavar="N|HxW", help="Input size; the model's own by default.")
]
FitOption = Annotated[
    Literal["letterbox", "corner", "stretch"] | None,
    typer.Option(help="How an image fits the input; the model's own way by default."),
]
NmsOption = Annotated[str, typer.Option(help="greedy, diou, soft-linear, soft-gaussian or none.")]
MergeOption = Annotated[
    Literal["nms", "wbf"],
    typer.Option(help="Of boxes that show one object keep the best, or fuse them (wbf)."),
]
TtaOption = Annotated[
    bool, typer.Option("--tta", help="Look three times: as it is, at .83 mirrored, and at .67.")
]
SliceOption = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="Look at tiles of this size too, for small objects."),
]
OverlapOption = Annotated[float, typer.Option(help="Share of a tile that its neighbour sees too.")]
NoWholeOption = Annotated[
    bool, typer.Option("--no-whole", help="With --slice, look at the tiles only.")
]
AgnosticOption = Annotated[bool, typer.Option("--agnostic", help="NMS across classes.")]
SingleLabelOption = Annotated[
    bool, typer.Option("--single-label", help="Only the best class of a box.")
]
NoClipOption = Annotated[bool, typer.Option("--no-clip", help="Let boxes reach beyond the image.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EngineOption = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"],
    typer.Option(envvar="SCANTLING_ENGINE", help="What runs the network; auto is the fastest."),
]
PrecisionOption = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"] | None,
    typer.Option(
        help="Number format: fp32 is exact, auto the fastest of the device; by default fp32, or"
        " an exported file's own."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Processor threads; one a core by default.")
]
StreamsOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto", help="Batches at once: 1 for the shortest wait, more for many images."
    ),
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images that the network sees at once.")]
