"""One frame's result on its way to the writers."""

from dataclasses import dataclass
from typing import Any

from ...images import Frame
from ...structures import Detections


@dataclass(frozen=True)
class Result:
    """A frame, what was found in it, and what to call the files that are made of it."""

    source_name: str  # safe and unique: the image, or the whole video
    frame: Frame
    detections: Detections | None  # None where the frame has a problem

    @property
    def name(self) -> str:
        """A file name, without suffix: `dog`, or `road-000012` for a frame of a video."""
        if self.frame.video is None:
            return self.source_name
        return f"{self.source_name}-{self.frame.index:06d}"


def to_record(frame: Frame, detections: Detections | None) -> dict[str, Any]:
    """One image as plain values for JSON.

    Keys: source; frame, its number in a video; image_size (height, width); detections (label, name,
    score, box as xyxy pixels; best first); problem, null or why there is no answer.
    """
    found = None if detections is None else detections.to_dict()
    return {
        "source": frame.name,
        "frame": frame.index,
        "image_size": None if found is None else found["image_size"],
        "detections": [] if found is None else found["detections"],
        "problem": frame.problem,
    }
