"""Images, video and cameras → frames, read ahead and fitted to a network's input. No torch."""

from .crops import TTA, InferencePlan, TTAView
from .letterbox import find_placement, resize_and_pad
from .read import Frame, VideoInfo, decode_image, read_image, to_rgb_array
from .sources import Limits, count_images, prefetch, read_sources

__all__ = [
    "TTA",
    "Frame",
    "InferencePlan",
    "Limits",
    "TTAView",
    "VideoInfo",
    "count_images",
    "decode_image",
    "find_placement",
    "prefetch",
    "read_image",
    "read_sources",
    "resize_and_pad",
    "to_rgb_array",
]
