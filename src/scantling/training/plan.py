"""The updates of a run as a function of its recipe: batches, image sizes, accumulation.

Every random choice of a run is made by a generator that is seeded by what it is for: the run's
seed, a purpose, and a place (an epoch, a step). So a run that is resumed at a step makes the same
choices as one that was never interrupted, and nothing about them has to be saved.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

import numpy as np

from ..structures import IntArray
from .recipe import Recipe

DYNAMIC_SHARE = 0.8  # of the memory that the largest shape takes, for more images of a small one
POOL = 128  # images, near in order, that a mosaic takes its others from: few enough to be at hand


@dataclass(frozen=True)
class TrainStep:
    """One update of the weights.

    Args:
        index: from 0, over the whole run.
        epoch: from 0.
        progress: in epochs, at its first batch: 2.5 is in the middle of the third.
        image_size: (height, width) of its images.
        batches: one after the other, the images of each, as places in the data.
        first_batch: how many batches the run had before.
        last: whether it is the last of its epoch.
        pool: places of images whose turn is near, for what combines several.
    """

    index: int
    epoch: int
    progress: float
    image_size: tuple[int, int]
    batches: tuple[tuple[int, ...], ...]
    first_batch: int
    last: bool
    pool: tuple[int, ...]

    @property
    def images(self) -> int:
        """How many images the update sees, in all processes."""
        return sum(map(len, self.batches))


@dataclass(frozen=True)
class StepPlan:
    """All updates of a run, in order.

    Args:
        recipe: of the run.
        images: in the data.
        image_size: (height, width) where sizes are not random.
        divisor: what each side is a multiple of where sizes are random.
    """

    recipe: Recipe
    images: int
    image_size: tuple[int, int]
    divisor: int

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch of one image size; the last is filled from the front."""
        return -(-self.images // self.recipe.batch)

    @property
    def largest_size(self) -> tuple[int, int]:
        """(height, width) of the largest images that the run can draw."""
        return self._scaled(self.recipe.shapes.range)

    @cached_property
    def updates(self) -> int:
        """How many updates the whole run makes."""
        shapes = self.recipe.shapes
        if shapes.range > 1 and not shapes.dynamic_batch:
            # then sizes change no number of images, and drawing them takes its time
            one_size = self.recipe.replace(shapes=shapes.replace(range=1.0))
            return replace(self, recipe=one_size).updates
        if shapes.dynamic_batch:
            return sum(1 for _ in self._walk())
        # once the warm-up is over, every epoch has as many
        schedule, batches = self.recipe.schedule, self.per_epoch
        warmup = self.recipe.warmup_batches(batches) if schedule.warmup_accumulation else 0
        first = min(self.recipe.epochs, -(-warmup // batches))
        counted = sum(1 for _ in takewhile(lambda step: step[1] < first, self._walk()))
        return counted + (self.recipe.epochs - first) * -(-batches // self._accumulation(warmup))

    def iterate(self, *, start: int = 0) -> Iterator[TrainStep]:
        """Iterate over every update, from the `start`-th."""
        order: tuple[int, IntArray] | None = None
        for index, epoch, done, first, sizes, image_size in self._walk():
            if index < start:
                continue
            if order is None or order[0] != epoch:
                order = epoch, rng_for(self.recipe.seed, "order", epoch).permutation(self.images)
            ends = np.cumsum(sizes)
            rows = order[1][(done + np.arange(ends[-1])) % self.images]
            yield TrainStep(
                index=index,
                epoch=epoch,
                progress=epoch + done / self.images,
                image_size=image_size,
                batches=tuple(tuple(row.tolist()) for row in np.split(rows, ends[:-1])),
                first_batch=first,
                last=done + ends[-1] >= self.images,
                pool=_window(order[1], done + int(ends[-1])),
            )

    def _walk(self) -> Iterator[tuple[int, int, int, int, list[int], tuple[int, int]]]:
        """(step, epoch, images done in it, batches done in the run, batch sizes, image size)."""
        step = batch = 0
        every, image_size = self.recipe.shapes.every, self._image_size(0)
        for epoch in range(self.recipe.epochs):
            done = 0
            while done < self.images:
                if step % every == 0:
                    image_size = self._image_size(step)
                size = self._batch_size(image_size)
                left = -(-(self.images - done) // size)
                count = min(self._accumulation(batch), left)
                yield step, epoch, done, batch, [size] * count, image_size
                step, batch, done = step + 1, batch + count, done + count * size

    def _accumulation(self, batch: int) -> int:
        """Batches of an update: what makes up the nominal batch; fewer at first, if so told."""
        full = self.recipe.nominal_batch / self.recipe.batch
        warmup = self.recipe.warmup_batches(self.per_epoch)
        if self.recipe.schedule.warmup_accumulation and batch < warmup:
            full = 1 + (full - 1) * batch / warmup
        return max(1, round(full))

    def _image_size(self, step: int) -> tuple[int, int]:
        """The size of a step's images. Source: darknet, uniform in r and in 1 / r alike."""
        shapes = self.recipe.shapes
        if shapes.range == 1:
            return self.image_size
        rng = rng_for(self.recipe.seed, "shape", step // shapes.every)
        return self._scaled(rng.uniform(1, shapes.range) ** rng.choice((-1, 1)))

    def _scaled(self, factor: float) -> tuple[int, int]:
        unit = self.recipe.shapes.multiple or self.divisor
        if factor == 1:
            return self.image_size
        height, width = (max(1, round(factor * side / unit)) * unit for side in self.image_size)
        return height, width

    def _batch_size(self, image_size: tuple[int, int]) -> int:
        """Images of a batch: more of small ones, if so told (darknet's dynamic_minibatch)."""
        batch = self.recipe.batch
        if not self.recipe.shapes.dynamic_batch:
            return batch
        room = np.prod(self.largest_size) / np.prod(image_size)
        return max(batch, int(DYNAMIC_SHARE * batch * room))


def _window(order: IntArray, end: int) -> tuple[int, ...]:
    """The images before `end`, or at the beginning of an epoch the first ones."""
    start = max(0, min(end, len(order)) - POOL)
    return tuple(order[start : start + POOL].tolist())


def rng_for(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """The generator for one purpose at one place of a run."""
    return np.random.default_rng((seed, zlib.crc32(purpose.encode()), *place))
