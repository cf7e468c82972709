"""What an evaluation gives: every figure, what they depend on, where the time went."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..datasets.dataset import Dataset
from .classes import ClassMatch
from .coco import CocoResult
from .found import Found
from .judge import Judged
from .voc import VocResult


@dataclass(frozen=True)
class Seconds:
    """Where the time went. The first four are means of an image, and overlap; the rest is in all.

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
    """How good a model is on a data set, and all that the figures depend on.

    Args:
        dataset: what was evaluated on: its images, and the objects that were looked for.
        images: how many the data has, looked at or not.
        judged: every figure.
        classes: which class of the model is which of the data; None for detections from a file.
        model: what made the detections, as names and values to be shown.
        unreadable: (path, problem) of images that could not be read: nothing was found in them.
        seconds: where the time went.
    """

    dataset: Dataset
    images: int
    judged: Judged
    classes: ClassMatch | None
    model: Mapping[str, str]
    unreadable: tuple[tuple[str, str], ...] = ()
    seconds: Seconds = field(default_factory=Seconds)

    @property
    def result(self) -> CocoResult | VocResult:
        """What the protocol computes."""
        return self.judged.result

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the protocol by name: `AP`, `AP50`, …; of VOC and darknet `mAP`."""
        return self.judged.figures

    @property
    def found(self) -> Found:
        """The detections."""
        return self.judged.found

    @property
    def protocol_line(self) -> str:
        """One line that answers "which AP is this?"."""
        return self.judged.protocol.describe()
