"""Images, video and cameras → frames, read ahead and fitted to a network's input. No torch."""

from .crops import TTA, Look, Plan
from .frame import Frame, VideoInfo
from .letterbox import find_placement, place
from .prefetch import prefetch
from .read import decode_image, read_image, to_rgb_array
from .sources import Limits, count_images, read_sources

__all__ = [
    "TTA",
    "Frame",
    "Limits",
    "Look",
    "Plan",
    "VideoInfo",
    "count_images",
    "decode_image",
    "find_placement",
    "place",
    "prefetch",
    "read_image",
    "read_sources",
    "to_rgb_array",
]
