"""Files → images and batches: readers, checks, letterbox. Knows no model, loads no torch."""

from .frame import Frame, VideoInfo
from .images import decode_image, read_image, to_rgb_array
from .letterbox import find_placement, place
from .prefetch import prefetch
from .sources import Limits, count_images, read_sources
from .views import TTA, Look, Plan

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
