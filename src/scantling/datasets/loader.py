"""The training loader: read, augment and collate batches in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..errors import InvalidData, InvalidSource, InvalidValue, WorkerLost
from ..images.preprocess import end_with_parent
from ..images.sources import prefetch
from ..structures import Batch, FloatArray, Image, IntArray, Sample, Targets
from .dataset import Dataset, ImageId
from .store import ImageStore

if TYPE_CHECKING:
    from pathlib import Path

# An augmentation, made for one image size: augmentation(sample, rng, draw=draw) -> Sample.
Augmentation = Callable[..., Sample]
AHEAD = 2  # batches that each worker makes ahead


@dataclass(frozen=True)
class Task:
    """Description of one batch: image indices, size and seed.

    Args:
        images: places in the data set.
        image_size: (height, width) of the result.
        seed: of everything random in it, but for the place of an image in its batch.
        first: place of the first image in the joint batch of all processes.
        mixing: whether images are combined with others.
        pool: places that those others are drawn from; empty for the whole data set. The images of a
            pool stay in memory, so that one that was decoded for its own sake serves again.
    """

    images: tuple[int, ...]
    image_size: tuple[int, int]
    seed: tuple[int, ...] = (0,)
    first: int = 0
    mixing: bool = True
    pool: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Arrays:
    """A batch as NumPy arrays."""

    images: Image  # (N, H, W, 3)
    boxes: FloatArray  # (T, 4) xyxy in pixels of the images
    labels: IntArray  # (T,)
    image_index: IntArray  # (T,)
    image_ids: tuple[ImageId, ...]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A data set that makes training batches; it can be pickled for worker processes.

    Args:
        dataset: what to train on. Every image has a size.
        store: of its images.
        augmentation: from an image size to what makes a sample of that size.
        mixers: applied last, each with its chance, to whole augmented samples.
    """

    dataset: Dataset
    store: ImageStore
    augmentation: Callable[[tuple[int, int]], Augmentation]
    mixers: tuple[tuple[Any, float], ...] = ()

    def sample(self, index: int) -> Sample:
        """Read one image and its objects from the store.

        Raises:
            InvalidSource: the image cannot be read, or is not of the size that its labels are for.
        """
        image, objects = self.store.read(index), self.dataset.objects_of(index)
        entry = self.dataset.images[index]
        if image.shape[:2] != self.store.shapes[index]:
            height, width = entry.size or (0, 0)
            raise InvalidSource(
                str(entry.path), f"is not of {width}x{height} pixels, as its labels say (E224)"
            )
        height, width = entry.size or image.shape[:2]
        scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
        return Sample(
            image=image,
            boxes=(objects.boxes * scale).astype(np.float32),
            labels=objects.labels,
            crowd=objects.crowd,
            image_id=entry.image_id,
        )

    def arrays(self, task: Task) -> Arrays:
        """Make one batch. The same task makes the same batch, wherever and whenever."""
        augmentation = self.augmentation(task.image_size)
        if not task.mixing and hasattr(augmentation, "without_mixing"):
            augmentation = augmentation.without_mixing()
        mixers = self.mixers if task.mixing else ()
        pool = task.pool or range(len(self.dataset))
        samples = [
            self._augmented(
                index, augmentation, mixers, pool, np.random.default_rng((*task.seed, place))
            )
            for place, index in enumerate(task.images, start=task.first)
        ]
        kept = [~sample.crowd for sample in samples]
        counts = [int(some.sum()) for some in kept]
        return Arrays(
            images=np.stack([sample.image for sample in samples]),
            boxes=np.concatenate([s.boxes[k] for s, k in zip(samples, kept, strict=True)]),
            labels=np.concatenate([s.labels[k] for s, k in zip(samples, kept, strict=True)]),
            image_index=np.repeat(np.arange(len(samples)), counts),
            image_ids=tuple(sample.image_id for sample in samples),
        )

    def _augmented(
        self,
        index: int,
        augmentation: Augmentation,
        mixers: tuple[tuple[Any, float], ...],
        pool: Sequence[int],
        rng: np.random.Generator,
    ) -> Sample:
        def another(rng: np.random.Generator) -> Sample:
            return self.sample(pool[int(rng.integers(len(pool)))])

        sample = augmentation(self.sample(index), rng, draw=another)
        for mixer, chance in mixers:
            if rng.random() < chance:
                more = (
                    augmentation(another(rng), rng, draw=another)
                    for _ in range(mixer.samples_needed - 1)
                )
                sample = mixer([sample, *more], rng)
        return sample


def open_training_set(
    dataset: Dataset,
    augmentation: Callable[[tuple[int, int]], Augmentation],
    *,
    long_side: int,
    folder: Path | None = None,
    budget: int = 0,
    mixers: Mapping[Any, float] | None = None,
) -> TrainingSet:
    """Open a data set for training, with its image store.

    Args:
        dataset: of which every image has a size.
        augmentation: from an image size to what makes a sample of that size.
        long_side: that images are made smaller to, once.
        folder: where small images are kept; None for nowhere.
        budget: bytes that they may take there.
        mixers: applied last, each with its chance.

    Raises:
        InvalidData: there is no image, or one whose size is not known.
    """
    sizes = [image.size for image in dataset.images]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        raise InvalidData(
            str(dataset.source),
            f"{len(sizes) - len(known)} of {len(sizes)} images of split {dataset.split!r} cannot be"
            " read",
            "Run `scantling data check` on it",
        )
    store = ImageStore(
        [image.path for image in dataset.images],
        known,
        long_side=long_side,
        folder=folder,
        budget=budget,
    )
    return TrainingSet(dataset, store, augmentation, tuple((mixers or {}).items()))


def load_batches(
    training_set: TrainingSet, tasks: Iterable[Task], *, workers: int = 1, pinned: bool = False
) -> Generator[Batch, None, None]:
    """Load the batches of the tasks, in order, prefetched by workers.

    Args:
        training_set: what makes them.
        tasks: which to make.
        workers: processes that make them; 0 for a thread of this one.
        pinned: put them into page-locked memory, from which copies to a GPU are fast.

    Raises:
        InvalidValue: a number of workers below 0.
        InvalidSource: an image cannot be read.
        WorkerLost: a worker was ended from outside.
    """
    if workers < 0:
        raise InvalidValue("workers", workers, "0 or more")
    if workers == 0:
        made = (_tensors(training_set.arrays(task)) for task in tasks)
        yield from prefetch(map(_pinned, made) if pinned else made, depth=AHEAD, patience=None)
        return
    from torch.utils.data import DataLoader

    loader: DataLoader[Batch | InvalidSource] = DataLoader(
        _Maker(training_set),  # type: ignore[arg-type]  # all that it needs is __getitem__
        sampler=_Tasks(tasks),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=_start_worker,
        multiprocessing_context="forkserver",
    )
    for batch in _not_lost(loader):
        if isinstance(batch, InvalidSource):
            raise batch
        yield _pinned(batch) if pinned else batch


def _not_lost(batches: Iterable[Batch | InvalidSource]) -> Iterator[Batch | InvalidSource]:
    """Pass batches on; raise a clear error where a worker died."""
    try:
        yield from batches
    except (BrokenPipeError, EOFError, ConnectionError) as error:
        raise WorkerLost from error
    except RuntimeError as error:
        if "exited unexpectedly" in str(error):
            raise WorkerLost from error
        raise


class _Maker:
    """A map-style Dataset for the DataLoader, indexed by tasks."""

    def __init__(self, training_set: TrainingSet) -> None:
        self._training_set = training_set

    def __getitem__(self, task: Task) -> Batch | InvalidSource:
        try:
            return _tensors(self._training_set.arrays(task))
        except InvalidSource as error:  # raised, it would come as another kind
            return error


class _Tasks:
    """A sampler for the DataLoader that yields tasks."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = tasks

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)


def _start_worker(_: int) -> None:
    end_with_parent()
    cv2.setNumThreads(1)  # the workers are the threads
    # Ctrl-C and most schedulers reach every process of a group. The run finishes its update with
    # the batches of its workers, and ends them then; asked a second time to end, they do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)


def _end_next_time(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _tensors(arrays: Arrays) -> Batch:
    import torch

    columns = (arrays.boxes, arrays.labels, arrays.image_index)
    return Batch(
        # (N, H, W, 3) seen as (N, 3, H, W) already is channels_last: nothing moves
        images=torch.from_numpy(arrays.images).permute(0, 3, 1, 2),
        targets=Targets(*map(torch.from_numpy, columns)),
        image_ids=arrays.image_ids,
    )


def _pinned(batch: Batch) -> Batch:
    targets = batch.targets
    columns = (targets.boxes, targets.labels, targets.image_index)
    return replace(
        batch,
        images=batch.images.pin_memory(),
        targets=Targets(*(column.pin_memory() for column in columns)),
    )
