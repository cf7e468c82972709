"""Augmentation pipelines of the model families, from decoded images to the input size.

Every entry is called `augmentation(sample, rng, draw=draw)`, where `draw(rng)` gives a further
sample of the training set, and returns a sample of `image_size`. To close the mosaic for the last
epochs, go on with `augmentation.without_mixing()`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InvalidValue
from ..structures import Sample
from .affine import Affine
from .blur_and_noise import Blur, GaussianNoise
from .colour import DarknetColour, HsvGains
from .create import (
    Colour,
    Compose,
    Transform,
    check_image_size,
    check_number,
    check_shares,
    check_whole,
    create_from,
)
from .crops import DarknetCrop, DarknetMosaic, ScaleJitter
from .geometry import HorizontalFlip, VerticalFlip
from .mix import MixUp
from .scaled_mosaic import ScaledMosaic

DrawSample = Callable[[np.random.Generator], Sample]


@dataclass(frozen=True)
class DarknetAugmentation:
    """Darknet's pipeline: mosaic, or crop, flip and HSV jitter; optional blur and noise.

    Darknet tosses for the mosaic once for a loader's share of a batch, this once for an image.

    Args:
        image_size: (height, width) of the result.
        mosaic: share of the results that are mosaics; darknet's `mosaic=1` is 0.5.
        mixup: share of the results that are blends of two; darknet's `mixup=1` is 0.5. Not with
            `mosaic`.
        jitter: as `resize` and `letterbox`, see `DarknetCrop`.
        resize: common zoom.
        letterbox: keep the aspect ratio.
        flip: chance of each image to be mirrored left to right.
        saturation: as `exposure` and `hue`, see `DarknetColour`.
        exposure: largest factor of the value.
        hue: largest shift, a share of the circle.
        blur: 0 is off; else the kernel for whole images, see `Blur`, of which 1 blurs only
            backgrounds.
        noise: standard deviation of noise on half of the images, 0 to 127.
        clip_to_tile: see `DarknetMosaic`; darknet's `mosaic_bound`.
        pad_value: colour of the padding; None is the mean colour of the image, as darknet pads.
        extra: applied last.

    Source: darknet's `load_data_detection`; the defaults are those of yolov4.cfg.
    """

    image_size: tuple[int, int] = (608, 608)
    mosaic: float = 0.5
    mixup: float = 0.0
    jitter: float = 0.3
    resize: float = 1.0
    letterbox: bool = False
    flip: float = 0.5
    saturation: float = 1.5
    exposure: float = 1.5
    hue: float = 0.1
    blur: int = 0
    noise: float = 0.0
    clip_to_tile: bool = True
    pad_value: Colour | None = None
    extra: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        check_shares(self, "mosaic", "mixup", "flip")
        check_whole("DarknetAugmentation.blur", self.blur, 0, 255)
        check_number("DarknetAugmentation.noise", self.noise, 0, 127)
        if self.mosaic and self.mixup:
            raise InvalidValue("DarknetAugmentation.mixup", self.mixup, "0 where mosaic is above 0")
        self._mosaic()
        self._alone()
        self._last()

    def __call__(self, sample: Sample, rng: np.random.Generator, *, draw: DrawSample) -> Sample:
        chance = rng.random()
        if chance < self.mosaic:
            result = self._mosaic()([sample, *(draw(rng) for _ in range(3))], rng)
        else:
            result = self._alone()(sample, rng)
            if chance < self.mixup:
                result = MixUp(beta=0)([result, self._alone()(draw(rng), rng)], rng)
        return self._last()(result, rng)

    def without_mixing(self) -> "DarknetAugmentation":
        """The same pipeline without mosaic and MixUp."""
        return replace(self, mosaic=0.0, mixup=0.0)

    def _mosaic(self) -> DarknetMosaic:
        return create_from(self, DarknetMosaic)

    def _alone(self) -> Compose:
        crop, colour = create_from(self, DarknetCrop), create_from(self, DarknetColour)
        return Compose((crop, HorizontalFlip(self.flip), colour))

    def _last(self) -> Compose:
        steps: tuple[Transform, ...] = ()
        if self.blur:
            steps += (Blur(self.blur),)
        if self.noise:
            steps += (GaussianNoise(self.noise),)
        return Compose(steps + self.extra)


@dataclass(frozen=True)
class ScaledYoloAugmentation:
    """Scaled-YOLOv4's pipeline: mosaic with random affine, MixUp of two, HSV jitter, flips.

    Args:
        image_size: (height, width) of the result.
        mosaic: share of the results that are mosaics.
        mixup: share of the results that are blends of two.
        centre: of the mosaic, see `ScaledMosaic`; (0.5, 0.5) for P5 to P7.
        degrees: as the rest up to `perspective`, see `AffineRanges`.
        translate: ± share of the result; 0.5 for P5 to P7.
        scale: factor in 1 ± this; 0.5 for P5 to P7, 0.8 for their fine-tuning.
        shear: ± degrees.
        perspective: ± a pixel.
        hue: as `saturation` and `value`, see `HsvGains`.
        saturation: factor in 1 ± this.
        value: factor in 1 ± this.
        flip_vertical: chance of a mirror image, top to bottom.
        flip_horizontal: chance of a mirror image, left to right.
        pad_value: colour of the padding; training takes the model's own `InputSpec.pad_value`.
        extra: applied last.

    Source: Scaled-YOLOv4's training; the defaults are those of CSP from scratch.
    """

    image_size: tuple[int, int] = (640, 640)
    mosaic: float = 1.0
    mixup: float = 0.0
    centre: tuple[float, float] = (0.25, 0.75)
    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.9
    shear: float = 0.0
    perspective: float = 0.0
    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4
    flip_vertical: float = 0.0
    flip_horizontal: float = 0.5
    pad_value: Colour = 114
    extra: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        check_image_size("ScaledYoloAugmentation.image_size", self.image_size)
        check_shares(self, "mosaic", "mixup", "flip_vertical", "flip_horizontal")
        self._mosaic()
        self._last()

    def __call__(self, sample: Sample, rng: np.random.Generator, *, draw: DrawSample) -> Sample:
        result = self._one(sample, rng, draw)
        if rng.random() < self.mixup:
            result = MixUp()([result, self._one(draw(rng), rng, draw)], rng)
        return self._last()(result, rng)

    def without_mixing(self) -> "ScaledYoloAugmentation":
        """The same pipeline without mosaic and MixUp."""
        return replace(self, mosaic=0.0, mixup=0.0)

    def _one(self, sample: Sample, rng: np.random.Generator, draw: DrawSample) -> Sample:
        if rng.random() < self.mosaic:
            return self._mosaic()([sample, *(draw(rng) for _ in range(3))], rng)
        return self._affine()(sample, rng)

    def _affine(self) -> Affine:
        return create_from(self, Affine)

    def _mosaic(self) -> ScaledMosaic:
        return create_from(self, ScaledMosaic)

    def _last(self) -> Compose:
        gains = HsvGains(self.hue, self.saturation, self.value)
        flips = (VerticalFlip(self.flip_vertical), HorizontalFlip(self.flip_horizontal))
        return Compose((gains, *flips, *self.extra))


@dataclass(frozen=True)
class EfficientDetAugmentation:
    """EfficientDet's pipeline: flip, then scale jitter; it never mixes images.

    Args:
        image_size: (height, width) of the result.
        scale: see `ScaleJitter`.
        flip: chance of a mirror image, left to right.
        pad_value: colour of the padding; training takes the model's own `InputSpec.pad_value`.
        extra: applied last.

    Source: https://arxiv.org/abs/1911.09070, whose baselines use no AutoAugment.
    """

    image_size: tuple[int, int] = (512, 512)
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    pad_value: Colour = (124, 116, 104)
    extra: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        check_shares(self, "flip")
        self._steps()

    def __call__(self, sample: Sample, rng: np.random.Generator, *, draw: DrawSample) -> Sample:  # noqa: ARG002
        return self._steps()(sample, rng)

    def without_mixing(self) -> "EfficientDetAugmentation":
        """The same pipeline, which never mixes."""
        return self

    def _steps(self) -> Compose:
        jitter = ScaleJitter(self.image_size, self.scale, pad_value=self.pad_value)
        return Compose((HorizontalFlip(self.flip), jitter, *self.extra))
