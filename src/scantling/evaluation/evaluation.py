"""Result of an evaluation: metrics, settings and timings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..datasets.dataset import Dataset
from .class_matching import ClassMatch
from .detection_table import DetectionTable
from .metrics import Metrics
from .protocol import ProtocolResult


@dataclass(frozen=True)
class Seconds:
    """Timings: the first four are means per image, and overlap; the rest are totals.

    Args:
        read: to decode an image.
        preprocess: to put it onto the network's input.
        network: to run the network.
        postprocess: threshold and NMS.
        images: for all images, by the clock.
        evaluation: for all figures.
    """

    read: float = 0.0
    preprocess: float = 0.0
    network: float = 0.0
    postprocess: float = 0.0
    images: float = 0.0
    evaluation: float = 0.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of evaluating a model on a data set, with all that the metrics depend on.

    Args:
        dataset: what was evaluated on: its images, and the objects that were looked for.
        images: how many the data has, looked at or not.
        metrics: every figure.
        classes: which class of the model is which of the data; None for detections from a file.
        model: what made the detections, as names and values to be shown.
        unreadable: (path, problem) of images that could not be read: nothing was found in them.
        seconds: where the time went.
    """

    dataset: Dataset
    images: int
    metrics: Metrics
    classes: ClassMatch | None
    model: Mapping[str, str]
    unreadable: tuple[tuple[str, str], ...] = ()
    seconds: Seconds = field(default_factory=Seconds)

    @property
    def result(self) -> ProtocolResult:
        """The protocol's own result, such as a `CocoResult`."""
        return self.metrics.result

    @property
    def stats(self) -> dict[str, float]:
        """The protocol's metrics by name: `AP`, `AP50`, …; `mAP` for VOC and darknet."""
        return self.metrics.stats

    @property
    def detections(self) -> DetectionTable:
        """The detections."""
        return self.metrics.detections

    @property
    def protocol_line(self) -> str:
        """The protocol in one line, which answers "which AP is this?"."""
        return self.metrics.protocol.describe()
