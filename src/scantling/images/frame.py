"""One picture on its way to the network: a still image, a frame of a video, or what went wrong."""

from dataclasses import dataclass

from ..errors import InvalidValue
from ..structures import Image


@dataclass(frozen=True)
class VideoInfo:
    """What a video or stream says of itself."""

    size: tuple[int, int]  # (height, width) of its frames, upright
    fps: float | None  # frames a second; None where it does not say
    frame_count: int | None  # None for a stream, a camera, or where it does not say


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Frame:
    """An image with its origin; or, in place of the image, the problem with it.

    `InvalidSource(frame.name, frame.problem)` is the message for the user. Where neither is there,
    the image has been let go, and `size` is what is left of it.
    """

    name: str  # path, URL or camera, without any password
    image: Image | None = None  # (H, W, 3) uint8 RGB, upright
    problem: str | None = None  # why there is no image
    index: int = 0  # number of the frame in its video, of a file in its list; else 0
    video: VideoInfo | None = None  # of which it is a frame
    original: tuple[int, int] | None = None  # (height, width), where `image` is smaller or gone

    def __post_init__(self) -> None:
        found = self.image is not None or (self.original is not None and self.problem is None)
        if found == (self.problem is not None):
            raise InvalidValue("frame", self.name, "either an image or a problem")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the original; None where it could not be read."""
        if self.image is None or self.original is not None:
            return self.original
        return self.image.shape[0], self.image.shape[1]
