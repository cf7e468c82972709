"""Box-aware augmentation: what changes an image changes its boxes with it."""

from collections.abc import Callable
from typing import Any

from .adapters import from_albumentations
from .affine import Affine
from .blur_and_noise import Blur, GaussianNoise
from .colour import Brightness, Contrast, DarknetColour, HsvGains
from .create import Compose, Transform, create, load_transform
from .crops import DarknetCrop, DarknetMosaic, ScaleJitter
from .erasing import CutOut, GridMask, HideAndSeek, RandomErase
from .geometry import HorizontalFlip, VerticalFlip
from .mix import CutMix, MixUp
from .recipes import DarknetAugmentation, EfficientDetAugmentation, ScaledYoloAugmentation
from .scaled_mosaic import ScaledMosaic

# Every transform: a frozen dataclass, called (sample, rng) -> Sample. Add a file, then a line here.
TRANSFORMS: dict[str, Callable[..., Transform]] = {
    "affine": Affine,
    "blur": Blur,
    "brightness": Brightness,
    "contrast": Contrast,
    "cutout": CutOut,
    "darknet-colour": DarknetColour,
    "darknet-crop": DarknetCrop,
    "gaussian-noise": GaussianNoise,
    "grid-mask": GridMask,
    "hide-and-seek": HideAndSeek,
    "horizontal-flip": HorizontalFlip,
    "hsv-gains": HsvGains,
    "random-erase": RandomErase,
    "scale-jitter": ScaleJitter,
    "vertical-flip": VerticalFlip,
}

# Every mixer: a frozen dataclass with `samples_needed`, called (samples, rng) -> Sample.
MIXERS: dict[str, Any] = {
    "cutmix": CutMix,
    "darknet-mosaic": DarknetMosaic,
    "mixup": MixUp,
    "scaled-mosaic": ScaledMosaic,
}

# Every augmentation: a frozen dataclass, called (sample, rng, draw=draw) -> Sample.
AUGMENTATIONS: dict[str, Any] = {
    "darknet": DarknetAugmentation,
    "efficientdet": EfficientDetAugmentation,
    "scaled-yolov4": ScaledYoloAugmentation,
}

__all__ = [
    "AUGMENTATIONS",
    "MIXERS",
    "TRANSFORMS",
    "Affine",
    "Blur",
    "Brightness",
    "Compose",
    "Contrast",
    "CutMix",
    "CutOut",
    "DarknetAugmentation",
    "DarknetColour",
    "DarknetCrop",
    "DarknetMosaic",
    "EfficientDetAugmentation",
    "GaussianNoise",
    "GridMask",
    "HideAndSeek",
    "HorizontalFlip",
    "HsvGains",
    "MixUp",
    "RandomErase",
    "ScaleJitter",
    "ScaledMosaic",
    "ScaledYoloAugmentation",
    "Transform",
    "VerticalFlip",
    "create",
    "from_albumentations",
    "load_transform",
]
