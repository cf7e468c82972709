"""The images that INT8 is calibrated on, and those on which the AP of INT8 and bf16 is compared."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..datasets.readers import list_splits, read_dataset
from ..errors import InvalidData, InvalidSource, InvalidValue
from ..images.letterbox import resize_and_pad
from ..images.read import read_image
from ..specs.metadata import Metadata

logger = logging.getLogger(__name__)

FEWEST = 32  # images from which on an AP says something
LEARNT = "train"  # the split that nobody evaluates on


@dataclass(frozen=True, eq=False)
class Images:
    """Images of a data set as network inputs, read and preprocessed at each iteration.

    Args:
        paths: of the files.
        metadata: of the graph; a batch of several images is filled with one of them.
    """

    paths: tuple[str, ...]
    metadata: Metadata

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        form = self.metadata.form
        for path in self.paths:
            placed = self.load(path)[None].repeat(form.batch or 1, axis=0)
            if form.takes == "float":
                yield np.ascontiguousarray(placed.transpose(0, 3, 1, 2), np.float32) / 255
            else:
                yield placed

    @cached_property
    def loaded(self) -> list[NDArray[np.uint8]]:
        """All as `load` gives them, kept in memory: for a few images."""
        return [self.load(path) for path in self.paths]

    def load(self, path: str) -> NDArray[np.uint8]:
        """(H, W, 3) of one image, resized unless the graph does that itself.

        Raises:
            InvalidData: it cannot be read.
        """
        try:
            image = read_image(path)
        except InvalidSource as error:
            raise InvalidData(path, error.problem, "Run `scantling data check` on it") from error
        if self.metadata.form.takes == "image":
            return image
        own = self.metadata.input_spec
        return resize_and_pad(
            image, self.metadata.image_size, resize_mode=own.resize_mode, pad_value=own.pad_value
        )[0]


@dataclass(frozen=True)
class Calibrated:
    """Images for a graph of reduced precision: to calibrate on, and to compare AP on.

    Args:
        data: as the user named it.
        inputs: to measure ranges on, and to see which layers hurt.
        evaluation: labelled images to compare AP on; None where there are too few.
    """

    data: str
    inputs: Images
    evaluation: Dataset | None

    @property
    def judged(self) -> str:
        """On how many images AP is compared, and how many of them are calibrated on, in words."""
        from ..evaluation import describe_images  # late: only AP needs it

        judged = () if self.evaluation is None else self.evaluation.images
        both = len({str(image.path) for image in judged} & set(self.inputs.paths))
        int8 = self.inputs.metadata.precision == "int8"
        return describe_images(len(judged), both if int8 else None)

    @property
    def compared(self) -> list[str]:
        """Paths of images to compare file and model on: others than it is made from, if any."""
        if self.evaluation is None:
            return list(self.inputs.paths)
        return [str(image.path) for image in self.evaluation.images]


def choose_images(
    data: str | Path | Dataset, metadata: Metadata, *, split: str | None, count: int
) -> Calibrated:
    """Which images INT8 is calibrated on, and on which AP is compared, spread over the data.

    The ranges are measured on the split `train` if there is one, and AP on the one for evaluation;
    of a single split every second image does the one and the others the other. Where nothing is
    calibrated, AP is compared on one split.

    Args:
        data: as for `scantling.evaluation.evaluate`.
        metadata: of the graph.
        split: to calibrate on, or to compare AP on where nothing is calibrated; None for the rule
            above.
        count: of images at most, for either.

    Raises:
        InvalidData: it cannot be read, or has no images.
        InvalidValue: `count` is less than one.
    """
    if count < 1:
        raise InvalidValue("calibration_images", count, "one image or more")
    calibrates = metadata.precision == "int8"
    learnt, evaluation = _read(data, split, calibrates=calibrates)
    if not learnt.images:
        raise InvalidData(str(data), "it has no images", "Name another split")
    shared = evaluation is None
    whole = learnt if evaluation is None else evaluation
    apart = calibrates and shared and len(whole) >= 2 * FEWEST
    own = spread(learnt, range(0, len(learnt), 1 + apart), count)
    others = spread(whole, range(int(apart), len(whole), 1 + apart), count)
    enough = len(others) >= FEWEST and len(others.objects) > 0
    told = [f"calibrating on {len(own)} images of {learnt.split}"] if calibrates else []
    if not enough:
        told.append(f"{len(others)} are too few to tell what {metadata.precision} costs in AP")
    elif calibrates and shared and not apart:
        told.append("AP compared on the same")
    else:
        which = "others" if apart else "images"
        told.append(f"AP compared on {len(others)} {which} of {whole.split}")
    logger.info(", ".join(told))
    paths = tuple(str(image.path) for image in own.images)
    return Calibrated(str(data), Images(paths, metadata), others if enough else None)


def spread(dataset: Dataset, places: range, count: int) -> Dataset:
    """At most `count` of the images at these places, at even distances, always the same."""
    steps = np.linspace(0, len(places) - 1, min(count, len(places)))
    chosen = np.array(places)[np.unique(np.rint(steps).astype(np.int64))]
    new = np.full(len(dataset), -1)
    new[chosen] = np.arange(len(chosen))
    objects = dataset.objects.take(new[dataset.objects.image_index] >= 0)
    objects = replace(objects, image_index=new[objects.image_index])
    return replace(
        dataset,
        images=tuple(dataset.images[place] for place in chosen),
        objects=objects,
        findings=(),
    )


def _read(
    data: str | Path | Dataset, split: str | None, *, calibrates: bool
) -> tuple[Dataset, Dataset | None]:
    """The data to calibrate on, and that to compare AP on where it is another."""
    if isinstance(data, Dataset):
        return data, None
    if not calibrates:
        return read_dataset(data, split=split), None
    usual = read_dataset(data)
    if split is None:
        split = LEARNT if LEARNT in list_splits(data) else usual.split
    if split == usual.split:
        return usual, None
    return read_dataset(data, split=split), usual
