"""Transforms composed in sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidValue
from ..structures import Sample

# What every transform is: called with a sample and the source of all its randomness, it returns a
# sample and leaves the one it was given as it was.
Transform = Callable[[Sample, np.random.Generator], Sample]

# What every mixer is: the same for several samples. It says how many in `samples_needed`.
Mixer = Callable[[Sequence[Sample], np.random.Generator], Sample]


@dataclass(frozen=True)
class Compose:
    """Apply transforms in order.

    Args:
        transforms: called one after the other with the sample and the same `rng`.

    Raises:
        InvalidValue: one of them cannot be called.
    """

    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        for transform in self.transforms:
            if isinstance(transform, type) or not callable(transform):
                raise InvalidValue(
                    "Compose.transforms",
                    transform,
                    "transforms that are made, such as HorizontalFlip()",
                )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample
