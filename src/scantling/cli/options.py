"""Options and settings that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..engines.hardware import MOST_IMAGES
from ..engines.runtimes import ENGINES, check_engine
from ..errors import InvalidValue
from .command import FromEnvironment, Setting, option

# Panels of the help, by what people want.
INPUT, MODEL, RESULT, SPEED = "Input", "Model", "Result", "Speed"
BUDGET, DEVICE = "Budget", "Device"

MODEL_HELP = (
    "A name from `scantling list`, a .json of `scantling scale`, or a .cfg, .safetensors, .pt or"
    " .pth file."
)
RUNNABLE_HELP = f"{MODEL_HELP[:-1]}; or an exported file."
DATA_HELP = (
    "A COCO folder or JSON, a YOLO data.yaml, a darknet .data, or a Pascal VOC folder; which of"
    " them is found out."
)
SIZE = "N|HxW"
MOST_THREADS = 1024
MOST_WORKERS = 256  # processes

ModelOption = Annotated[str, option(MODEL, RUNNABLE_HELP)]
WeightsOption = Annotated[
    Path | None, option(MODEL, "Weights of a .cfg, or in place of a named model's own.")
]
ImageSizeOption = Annotated[
    str | None,
    option(MODEL, "Size of the network's input; the model's own by default.", metavar=SIZE),
]
NAMES_HELP = "File of class names, one a line; by default the .names beside a .cfg."
NamesOption = Annotated[Path | None, option(MODEL, NAMES_HELP, rare=True)]

ClassScoresSetting = Annotated[
    str | None, Setting("Other thresholds for some classes, such as person=0.5,car=0.3.")
]

DataArgument = Annotated[str, typer.Argument(help=DATA_HELP)]
FormatSetting = Annotated[
    str | None, Setting("Format of the data: {datasets.readers:READERS}; found out by default.")
]
MaxDataErrorsOption = Annotated[
    int, option(INPUT, "Errors in the data that are accepted.", rare=True, min=0)
]
LimitOption = Annotated[
    int | None, option(INPUT, "Only the first N images; all by default.", metavar="N", min=1)
]
ApLimitOption = Annotated[
    int | None,
    option(INPUT, "AP of the first N images of --data alone; all by default.", metavar="N", min=1),
]

DeviceOption = Annotated[str, option(SPEED, "auto, cpu, cuda or cuda:N.")]
ENGINE_NAMES = ", ".join(ENGINES)
EngineOption = Annotated[
    str,
    option(
        SPEED,
        f"What runs the network: {ENGINE_NAMES}, or auto for the fastest that is installed.",
        rare=True,
        metavar="NAME",
        envvar="SCANTLING_ENGINE",
        callback=check_engine,
    ),
]
PRECISION_HELP = (
    "Number format: fp32 is exact, auto the fastest of the device; by default fp32, or an exported"
    " file's own."
)
BatchSizeOption = Annotated[
    int, option(SPEED, "Images that the network sees at once.", rare=True, min=1, max=MOST_IMAGES)
]

DeviceProfileOption = Annotated[
    Path | None, option(DEVICE, "A file from `scantling device measure`.", metavar="FILE")
]
LikeOption = Annotated[
    Literal["yolov4", "efficientdet", "both"], option(MODEL, "Family whose models are searched.")
]
NumClassesOption = Annotated[
    int | None, option(MODEL, "Classes of the model; those of --data, or 80, by default.", min=1)
]
CameraSizeSetting = Annotated[
    str | None, Setting("Size of the camera's images, HxW; 480x640 by default, as COCO's.")
]

JsonOption = Annotated[bool, option(RESULT, "Print JSON and nothing else.", "--json")]
OverwriteOption = Annotated[
    bool, option(RESULT, "Replace files that exist.", "--overwrite", rare=True)
]
CACHE_HELP = "folder for downloads and what else can be made again."
CacheFolder = Annotated[Path | None, FromEnvironment("SCANTLING_CACHE", CACHE_HELP)]


@dataclass(frozen=True, kw_only=True)
class InferenceSettings:
    """How a model is run: the settings of `predict` and `evaluate`."""

    nms: Annotated[
        str | None,
        Setting("Kind of NMS: {postprocess.selection:NMS}; the model's or the protocol's own."),
    ] = None
    merge: Annotated[
        Literal["nms", "wbf"],
        Setting("Of boxes that show one object keep the best (nms), or fuse them (wbf)."),
    ] = "nms"
    class_aware: Annotated[bool, Setting("NMS within each class; false: across classes.")] = True
    multi_label: Annotated[
        bool, Setting("Every class of a box that scores enough; false: the best one alone.")
    ] = True
    max_candidates: Annotated[int, Setting("Boxes of an image that NMS looks at, best first.")] = (
        5000
    )
    sigma: Annotated[float, Setting("Width of the Gaussian of soft-gaussian.")] = 0.5
    beta: Annotated[
        float | None, Setting("Exponent of the distance in diou; the model's own, or 1.")
    ] = None
    clip: Annotated[bool, Setting("Cut boxes off at the edge of the image.")] = True
    overlap: Annotated[float, Setting("Share of a tile that its neighbour shows too.")] = 0.2
    whole_image: Annotated[bool, Setting("Beside the tiles, show the network the whole image.")] = (
        True
    )
    resize_mode: Annotated[
        Literal["letterbox", "corner", "stretch"] | None,
        Setting(
            "How an image is fitted to the input: letterbox, corner or stretch; by default the"
            " model's own."
        ),
    ] = None
    threads: Annotated[
        int | None, Setting("Processor threads; one a core by default.", min=1, max=MOST_THREADS)
    ] = None
    streams: Annotated[
        str,
        Setting(
            "Batches at once: 1 for the shortest wait, more for many images; a number or auto."
        ),
    ] = "auto"
    cache: CacheFolder = None


def check_out(out: Path | None, *, overwrite: bool, suffix: str = ".safetensors") -> Path:
    """Where to write, known to be possible before anything is loaded.

    Raises:
        InvalidValue: none was given, it has another suffix, or it exists.
    """
    if out is None or out.suffix != suffix:
        raise InvalidValue("--out", out and str(out), f"a {suffix} file to write")
    if out.exists() and not overwrite:
        raise InvalidValue("--out", str(out), "a file that does not exist, or --overwrite")
    return out
