"""The data of a run: the splits to train and evaluate on, augmentations and mixers."""

import hashlib
import json
import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..augment import AUGMENTATIONS, MIXERS, TRANSFORMS, Compose, Transform, create, load_transform
from ..cache import find_budget
from ..datasets.check import require_objects, require_sound
from ..datasets.dataset import Dataset
from ..datasets.loader import Augmentation, TrainingSet, open_training_set
from ..datasets.readers import describe_dataset, list_splits, read_dataset
from ..errors import InvalidData, InvalidSettings, ScantlingError
from ..images.letterbox import resize_and_pad
from ..io import default_cache
from ..specs import InputSpec
from ..structures import Sample
from .folder import RunArgs
from .recipe import AugmentSettings, Recipe

logger = logging.getLogger(__name__)

GIGABYTE = 10**9


def read_splits(args: RunArgs) -> tuple[Dataset, Dataset | None]:
    """Read the split to train on, and the one to evaluate on, if there is one.

    Raises:
        InvalidData: a split cannot be read, has too many errors or no object, or their classes
            differ.
    """
    known = list_splits(args.data, format=args.format)
    split = args.split or ("train" if len(known) > 1 or "train" in known else known[0])
    dataset = _read_split(args, split)
    chosen = args.validation_split
    if chosen is None:
        rest = [name for name in known if name != dataset.split]
        chosen = next(
            (name for part in ("val", "test") for name in rest if name.startswith(part)), None
        )
    if chosen is None:
        logger.info(
            f"{args.data}: no split to evaluate on; the run keeps its last weights as its best"
        )
        return dataset, None
    validation = _read_split(args, chosen)
    unknown = set(validation.names) ^ set(dataset.names)
    if unknown:
        raise InvalidData(
            args.data,
            f"the splits {dataset.split!r} and {chosen!r} do not have the same classes: "
            f"{', '.join(sorted(unknown)[:10])}",
            "Give both the same list of names",
        )
    return dataset, validation


def _read_split(args: RunArgs, split: str) -> Dataset:
    dataset = read_dataset(args.data, split=split, format=args.format)
    require_sound(dataset, max_errors=args.max_data_errors)
    require_objects(dataset)
    logger.info(f"{args.data}: {describe_dataset(dataset)}")
    return dataset


def fingerprint(dataset: Dataset, validation: Dataset | None) -> dict[str, Any]:
    """What a run cannot be resumed without: classes, counts, and a digest of the labels of a split.

    What the images show is not in it, nor where they lie.
    """
    return {
        "classes": list(dataset.names),
        "images": len(dataset),
        "objects": len(dataset.objects),
        "labels": _digest_labels(dataset),
        "validation labels": None if validation is None else _digest_labels(validation),
    }


def _digest_labels(dataset: Dataset) -> str:
    found = hashlib.sha256()
    listing = [(image.image_id, image.size) for image in dataset.images]
    found.update(json.dumps([dataset.names, listing]).encode())
    for column in fields(dataset.objects):
        found.update(np.ascontiguousarray(getattr(dataset.objects, column.name)).tobytes())
    return found.hexdigest()


def open_augmented(
    dataset: Dataset,
    recipe: Recipe,
    input_spec: InputSpec,
    *,
    largest_size: tuple[int, int],
    cache: str | Path | None,
) -> TrainingSet:
    """The training set of a run, with the augmentations and mixers of its recipe.

    Args:
        dataset: to train on.
        recipe: of the run.
        input_spec: of the model.
        largest_size: (height, width) of the largest images that the network gets.
        cache: folder for decoded images; the user's own if None.
    """
    home = Path(cache) if cache is not None else default_cache()
    return open_training_set(
        dataset,
        make_augmentation(recipe.augment, input_spec=input_spec),
        long_side=max(largest_size),
        folder=home / "images",
        budget=min(int(recipe.loader.store_gigabytes * GIGABYTE), find_budget(home)),
        mixers=make_mixers(recipe.augment, input_spec=input_spec),
    )


@dataclass(frozen=True)
class SizedAugmentation:
    """Makes the augmentation of an image size; it can be sent to another process.

    Args:
        own: of some size; None to place images as in prediction, and nothing else.
        extra: transforms after the placing.
        input_spec: how images are placed.
    """

    own: Any
    extra: tuple[Transform, ...]
    input_spec: InputSpec

    def __call__(self, image_size: tuple[int, int]) -> Augmentation:
        if self.own is None:
            return ResizeOnly(image_size, self.extra, self.input_spec)
        sized: Augmentation = replace(self.own, image_size=image_size)
        return sized


@dataclass(frozen=True)
class ResizeOnly:
    """No augmentation: the image is resized as in prediction, then transformed."""

    image_size: tuple[int, int]
    extra: tuple[Transform, ...]
    input_spec: InputSpec

    def __call__(self, sample: Sample, rng: np.random.Generator, *, draw: object) -> Sample:  # noqa: ARG002
        how = self.input_spec
        image, placement = resize_and_pad(
            sample.image, self.image_size, resize_mode=how.resize_mode, pad_value=how.pad_value
        )
        placed = replace(sample, image=image, boxes=placement.apply(sample.boxes))
        return Compose(self.extra)(placed, rng)


def make_augmentation(settings: AugmentSettings, *, input_spec: InputSpec) -> SizedAugmentation:
    """Build the augmentation of a recipe.

    Args:
        settings: of the recipe.
        input_spec: of the model: the padding, and how images are placed where there is no
            augmentation.

    Raises:
        InvalidSettings: a setting that does not exist or does not hold.
    """
    try:
        extra = tuple(
            load_transform(one.name, one.settings)
            if ":" in one.name
            else create(TRANSFORMS, one.name, one.settings, pad_value=input_spec.pad_value)
            for one in settings.extra
        )
        if settings.kind == "none":
            return SizedAugmentation(None, extra, input_spec)
        chosen = {**settings.settings, "extra": extra}
        own = create(AUGMENTATIONS, settings.kind, chosen, pad_value=input_spec.pad_value)
    except ScantlingError as error:
        raise InvalidSettings([f"augment: {error}"]) from error
    return SizedAugmentation(own, (), input_spec)


def make_mixers(settings: AugmentSettings, *, input_spec: InputSpec) -> dict[Any, float]:
    """Build the mixers of whole samples, such as cutmix, each with its probability.

    Args:
        settings: of the recipe.
        input_spec: of the model, for the padding.

    Raises:
        UnknownName, InvalidValue: a mixer or setting that does not exist or hold.
    """
    return {
        create(MIXERS, one.name, one.settings, pad_value=input_spec.pad_value): one.probability
        for one in settings.mixers
    }
