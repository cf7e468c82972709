"""Images as a run is about to see them, before it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints import prepare_model
from ..checkpoints.load import CHECKPOINTS
from ..datasets.contact_sheets import choose_images, contact_sheet
from ..datasets.dataset import Dataset
from ..datasets.loader import Task
from ..errors import InvalidValue
from ..specs import CATALOG
from ..structures import Image
from .data import open_augmented
from .model import choose_image_size
from .recipes import RECIPES, recipe_of_model
from .report import draw_sample
from .resolve import fit_to_length, names_a_recipe, read_layers, resolve_recipe

USUAL = "yolov4-tiny"  # the model where only a recipe is named
SHOWN = ("augment", "shapes", "close_mosaic", "epochs")  # settings that a picture depends on


@dataclass(frozen=True, eq=False)
class Preview:
    """Images as training alters them.

    Args:
        sheet: (H, W, 3) RGB, with their labels.
        model: that would be trained.
        image_size: (height, width) of its input.
        settings: (name, value, source) of those that the pictures depend on.
    """

    sheet: Image
    model: str
    image_size: tuple[int, int]
    settings: list[tuple[str, Any, str]]


def split_words(words: Sequence[str]) -> tuple[str | None, str | None, list[str]]:
    """A model, a recipe or a file of settings, and the rest, among words such as `--augment` takes.

    Raises:
        InvalidValue: two models, two recipes, or the rest beside one of them.
    """
    models = [
        word
        for word in words
        if word in CATALOG or Path(word).suffix.lower() in (*CHECKPOINTS, ".cfg", ".json")
    ]
    steps = ("darknet", "efficientdet", "scaled-yolov4")  # augmentations of the same name
    recipes = [
        word
        for word in words
        if word.endswith(".toml") or (word in RECIPES and (models or word not in steps))
    ]
    rest = [word for word in words if word not in (*models, *recipes)]
    if len(models) > 1 or len(recipes) > 1 or (rest and (models or recipes)):
        raise InvalidValue("augment", list(words), "one model and one recipe, or other steps alone")
    return next(iter(models), None), next(iter(recipes), None), rest


def draw_preview(
    dataset: Dataset,
    *,
    model: str | None,
    recipe: str | None,
    settings: Mapping[str, Any],
    names: Sequence[str] = (),
    count: int = 16,
    seed: int = 0,
    columns: int | None = None,
    cell: int = 320,
) -> Preview:
    """Draw images as `open_run` with the same model, recipe and settings would make them.

    Args:
        dataset: the split to train on.
        model, recipe, settings: as of `open_run`; yolov4-tiny for a recipe alone.
        names, count, columns, cell: as of `dataset_sheet`.
        seed: of which images, and of all chance.

    Raises:
        ScantlingError: the model, a setting or an image does not fit.
    """
    layers = read_layers(recipe, settings)
    loaded = prepare_model(model or USUAL, dataset.names)
    if not names_a_recipe(layers):
        layers = [recipe_of_model(loaded, images=len(dataset)), *layers]
    resolved = fit_to_length(resolve_recipe(layers), len(dataset))
    own = resolved.recipe
    size = choose_image_size(loaded, own)
    # for a few images a store of decoded ones does not pay
    own = own.replace(loader=own.loader.replace(store_gigabytes=0))
    training_set = open_augmented(dataset, own, loaded.spec.input, largest_size=size, cache=None)
    places = choose_images(dataset, count=count, rng=np.random.default_rng(seed), names=names)
    if not len(places):
        raise InvalidValue("classes", ", ".join(names), "some that an image of this split shows")
    task = Task(
        images=tuple(places.tolist()),
        image_size=size,
        seed=(seed,),
        mixing=own.close_mosaic < own.epochs,
    )
    arrays = training_set.arrays(task)
    pictures = [draw_sample(arrays, place) for place in range(len(places))]
    sheet = contact_sheet(pictures, dataset.names, count=len(places), columns=columns, cell=cell)
    rows = [row for row in resolved.rows() if row[0].partition(".")[0] in SHOWN]
    return Preview(sheet, loaded.spec.name, size, rows)
