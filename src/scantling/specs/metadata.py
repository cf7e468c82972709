"""The metadata of an exported file: all that is needed to use it, and where it is from.

It travels inside the file, as JSON, under the key `scantling`: see `scantling.engines.formats`.
"""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .frozen import Frozen, Positive, Size
from .level import Level
from .schema import CfgSpec, InputSpec, ModelSpec

KEY = "scantling"  # of the metadata entry
VERSION: Literal[1] = 1
PT2_ADVICE = (
    "Use the checkpoint that it was made from, or export that: scantling export CHECKPOINT "
    "--to onnx (or openvino)"
)

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Label = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# Sha256 in hexadecimal; see `scantling.engines.graphs.fingerprint`.
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class GraphForm(Frozen):
    """What a graph takes and gives.

    The single input is called `images`. Boxes are xyxy in pixels of what went in.

    Args:
        takes: `uint8`: (N, H, W, 3) RGB, on the canvas already. `float`: (N, 3, H, W) RGB, 0 to 1.
            `image`: (1, H, W, 3) uint8 RGB of any size, fitted inside the graph.
        gives: `candidates`: `boxes` (N, P, 4) and `scores` (N, P, K). `raw`: raw predictions,
            `raw0`, `raw1`, …, finest level first. `detections`: after NMS, best first, one array
            `detections` (N, M, 6) of box, score and label; rows of score 0 hold nothing.
        batch: images it takes at once; None for any number.
        any_size: it takes every size that `size_divisor` divides, not only its own.
    """

    takes: Literal["uint8", "float", "image"] = "uint8"
    gives: Literal["candidates", "raw", "detections"] = "candidates"
    batch: Annotated[int, Field(gt=0, le=1024)] | None = 1
    any_size: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.takes == "image" and (self.batch != 1 or self.any_size):
            raise ValueError("a graph that takes whole images takes one at a time")
        return self


class Calibration(Frozen):
    """The data that an INT8 graph was calibrated on, or that judged one of another precision.

    Args:
        data: name of the data set, as the user gave it.
        images: how many.
        fp32_layers: those that are not reduced, because that cost too much.
        image_keys: by which the images that it was calibrated on are known again; see `image_key`.
    """

    data: str
    images: Positive
    fp32_layers: tuple[str, ...] = ()
    image_keys: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, fields: Any) -> Any:
        """Files of version 0.1 call `fp32_layers` `kept`."""
        if not isinstance(fields, dict):
            return fields
        return {"fp32_layers" if name == "kept" else name: one for name, one in fields.items()}


def image_key(path: str | Path) -> str:
    """By which the file of an image is known again, wherever it lies: from its name and size.

    Raises:
        OSError: there is no such file.
    """
    path = Path(path)
    return sha256(f"{path.name}:{path.stat().st_size}".encode()).hexdigest()[:12]


class Metadata(Frozen):
    """Everything that is needed to use an exported file.

    Args:
        spec: the model, with its image size and how an image is made to fit (`spec.input`).
        names: of the classes, by label.
        form: what the graph takes and gives.
        image_size: (height, width) of the graph's usual input.
        size_divisor: what divides the sides of every input, of a graph that takes any size.
        precision: what the graph is meant to be computed in.
        levels: how raw predictions are decoded, finest level first.
        min_score, iou_threshold, max_detections: the thresholds that its user usually wants; of a
            graph that gives detections, those inside it.
        classes: labels of the only classes that its user wants; None for all.
        class_scores: thresholds of some classes in place of `min_score`, by label. Both, as
            `min_score`, are inside a graph that gives detections.
        source: the file or name that was exported.
        fingerprint: of the description and the weights that were exported.
        calibration: the images that an INT8 graph was calibrated on, or that judged another.
        producer: which scantling wrote it, and by which packages.
    """

    version: Literal[1] = VERSION
    kind: Literal["model", "cfg"]
    spec: Annotated[ModelSpec | CfgSpec, Field(union_mode="left_to_right")]
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    form: GraphForm = Field(default_factory=GraphForm)
    image_size: Size
    size_divisor: Positive
    precision: Precision = "fp32"
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=16)]
    min_score: Share = 0.25
    iou_threshold: Share = 0.45
    max_detections: Positive = 300
    classes: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    class_scores: dict[Label, Share] = Field(default_factory=dict)
    source: str
    fingerprint: Fingerprint
    calibration: Calibration | None = None
    producer: str

    @property
    def input_spec(self) -> InputSpec:
        """How an image is made to fit."""
        return self.spec.input

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind != self.spec.file_kind:
            raise ValueError(f"the spec is not that of kind {self.kind!r}")
        if len(self.names) != self.spec.num_classes:
            raise ValueError(f"{len(self.names)} names for {self.spec.num_classes} classes")
        highest = max([0, *(self.classes or ()), *self.class_scores])
        if highest >= len(self.names):
            raise ValueError(f"a threshold of class {highest}, but {len(self.names)} classes")
        return self
