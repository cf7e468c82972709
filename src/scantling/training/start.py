"""Setting a run up: data, model, settings and machine, in the order in which they can be wrong."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import Model, prepare_model, with_image_size
from ..datasets.check import require_sound
from ..datasets.dataset import Dataset
from ..datasets.loader import open_training_set
from ..datasets.readers import describe_dataset, list_splits, read_dataset
from ..errors import InvalidData, InvalidSettings, InvalidValue
from ..io import default_cache
from ..specs import CfgSpec
from ..specs.schema import check_image_size
from .accelerator import check_share, check_trackers, fit_memory, open_accelerator
from .components import (
    Normalise,
    choose_anchors,
    make_augmentation,
    make_loss,
    make_mixers,
    regularise,
    speed_up,
)
from .ema import Average
from .folder import RunFolder, new_folder, write_environment, write_settings
from .loop import State, Trainer
from .optimizer import build_optimiser, freeze
from .plan import Plan
from .preflight import (
    Layers,
    check_settings,
    names_a_recipe,
    own_recipe,
    process_place,
    read_layers,
)
from .recipe import Recipe
from .resolve import resolve_recipe
from .resume import load_state, read_notes
from .run import Run

logger = logging.getLogger(__name__)

STORE_GIGABYTE = 10**9


def open_run(
    model: str | Path,
    data: str | Path,
    *,
    recipe: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    split: str | None = None,
    validation_split: str | None = None,
    format: str | None = None,  # noqa: A002 - what every function of the data calls it
    max_data_errors: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    cache: str | Path | None = None,
    trackers: Sequence[str] = (),
) -> Run:
    """Set a run up; nothing is learned yet.

    Args:
        model: what to train: a name, a `.cfg`, a checkpoint; see `prepare_model`.
        data: a labelled data set; classes and their names come from it.
        recipe: a name in `RECIPES`, or a TOML file of settings, which may name one as `recipe`;
            the model's own if None.
        settings: over those of the recipe, as nested tables.
        weights: to start from; see `prepare_model`.
        split: of the data to learn from; `train` if None.
        validation_split: to evaluate on; what is meant for it if None.
        format: of the data, where it cannot be found out.
        max_data_errors: errors in the data that are accepted.
        device: `auto`, `cpu` or `cuda`.
        out: folder of the run; a new `runs/train-N` if None.
        cache: folder for small images and downloads; the user's own if None.
        trackers: `tensorboard`, `wandb`, `mlflow`.

    Raises:
        InvalidSettings: all that is wrong with the settings, before any data is read.
        ScantlingError: the model, the data or a file does not fit.
    """
    given = read_layers(recipe, settings or {})
    seed = check_settings(model, given)  # a mistake should not cost a download
    check_trackers(trackers)
    begun = {
        "model": _absolute(model),
        "data": str(Path(data).absolute()),
        "weights": None if weights is None else _absolute(weights),
        "split": split,
        "validation_split": validation_split,
        "format": format,
        "max_data_errors": max_data_errors,
        "device": device,
        "trackers": list(trackers),
        "seed": seed,
    }
    rank, processes = process_place()
    if processes > 1 and out is None:
        raise InvalidValue("out", None, "a folder, when several processes train together")
    new = out is None or not Path(out).exists()
    folder = (
        RunFolder(Path(out)) if rank and out else new_folder(None if out is None else Path(out))
    )
    try:
        return _open(folder, begun, given, cache=cache, fresh=True)
    except BaseException:
        if new and not rank:
            with suppress(OSError):
                folder.path.rmdir()  # only while nothing is in it
        raise


def resume_run(
    folder: str | Path,
    *,
    cache: str | Path | None = None,
    trackers: Sequence[str] = (),
) -> Run:
    """Take up a run where it was last saved; it goes on as if it had never been stopped.

    Args:
        folder: of the run.
        cache, trackers: as for `open_run`.

    Raises:
        InvalidSettings: the folder is not that of a run.
        ScantlingError: as `open_run`; data or weights changed.
    """
    home = RunFolder(Path(folder))
    try:
        record = json.loads(home.settings.read_text("utf-8"))
        begun, table, content = record["begun"], record["recipe"], record["data"]
        sources = {str(name): str(source) for name, source in record["sources"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidSettings([f"{folder}: is not the folder of a run ({error})"]) from error
    if trackers:
        begun = {**begun, "trackers": list(trackers)}
    check_trackers(begun["trackers"])
    run = _open(home, begun, [("resumed", table)], cache=cache, fresh=False)
    now = describe_content(run.training_set.dataset)
    if content != now:
        changed = ", ".join(name for name in now if now[name] != content.get(name))
        raise InvalidData(
            str(begun["data"]),
            f"it is not what the run began with: {changed} changed",
            "Begin a new run, from its last.safetensors if you like",
        )
    run.resolved = replace(run.resolved, sources=sources)
    if home.state.exists():
        load_state(run.state, home.state)
        run.take_up(read_notes(home.state))
    return run


def train(model: str | Path, data: str | Path, **options: Any) -> Run:
    """Set a run up and go through it; `open_run` takes the options.

    >>> train("yolov4-tiny", "data.yaml", settings={"epochs": 50}).folder.best  # doctest: +SKIP
    """
    run = open_run(model, data, **options)
    for _ in run.events():
        pass
    return run


def _open(
    folder: RunFolder,
    begun: Mapping[str, Any],
    given: Layers,
    *,
    cache: str | Path | None,
    fresh: bool,
) -> Run:
    dataset, validation = _read_data(begun)
    torch.manual_seed(begun["seed"])  # of the fresh weights
    model = prepare_model(begun["model"], dataset.names, weights=begun["weights"], cache=cache)
    named = not fresh or names_a_recipe(given)
    resolved = resolve_recipe([*([] if named else [own_recipe(model)]), *given])
    recipe = resolved.recipe
    image_size, divisor = _image_size(model, recipe)
    model = with_image_size(model, image_size)  # what it was trained with is what it is run with
    model, before, fitted = choose_anchors(model, dataset, recipe, image_size=image_size)
    model = regularise(model, recipe.regularise)
    speed_up(model, recipe)
    frozen = freeze(model.network, recipe.freeze)
    if frozen:
        logger.info(f"{len(frozen)} tensors of {', '.join(recipe.freeze)} are frozen")

    accelerator = open_accelerator(begun["device"], recipe, begun["trackers"], folder)
    check_share(recipe, accelerator)
    loss = make_loss(model, recipe)
    loss.to(accelerator.device)
    model.network.to(accelerator.device).to(memory_format=torch.channels_last)
    if fresh:
        largest = Plan(recipe, len(dataset), image_size, divisor).largest_size
        resolved = fit_memory(model, loss, resolved, largest, accelerator)
        recipe = resolved.recipe
    plan = Plan(recipe, len(dataset), image_size, divisor)
    store = (Path(cache) if cache is not None else default_cache()) / "images"
    training_set = open_training_set(
        dataset,
        make_augmentation(recipe.augment, input_spec=model.spec.input),
        long_side=max(plan.largest_size),
        folder=store,
        budget=int(recipe.loader.store_gigabytes * STORE_GIGABYTE),
        mixers=make_mixers(recipe.augment),
    )
    average = Average(model.network, recipe.average) if recipe.average.decay else None
    optimiser = build_optimiser(model.network, recipe.optimiser)
    state = State(model.network, optimiser, average, accelerator.scaler)
    trainer = Trainer(plan, loss, accelerator, Normalise(model.spec.input, accelerator.device))
    if fresh and accelerator.is_main_process:
        write_environment(
            folder,
            device=str(accelerator.device),
            precision=accelerator.mixed_precision,
            processes=accelerator.num_processes,
        )
        write_settings(folder, resolved, begun, describe_content(dataset))
    return Run(folder, model, resolved, trainer, state, training_set, validation, (before, fitted))


def describe_content(dataset: Dataset) -> dict[str, Any]:
    """What of a data set decides the steps of a run: where it changes, a run cannot go on."""
    return {
        "classes": list(dataset.names),
        "images": len(dataset),
        "objects": len(dataset.objects),
    }


def _absolute(given: str | Path) -> str:
    """The path of a file, so that it holds from every folder; a name stays."""
    path = Path(given)
    return str(path.absolute()) if path.is_file() else str(given)


def _read_data(begun: Mapping[str, Any]) -> tuple[Dataset, Dataset | None]:
    """The split to learn from, and the one to evaluate on, if there is one."""
    source, form, most = begun["data"], begun["format"], begun["max_data_errors"]
    known = list_splits(source, format=form)
    wanted = begun["split"] or ("train" if len(known) > 1 or "train" in known else known[0])
    dataset = read_dataset(source, split=wanted, format=form)
    require_sound(dataset, max_errors=most)
    logger.info(f"{source}: {describe_dataset(dataset)}")
    chosen = begun["validation_split"]
    if chosen is None:
        rest = [name for name in known if name != dataset.split]
        chosen = next(
            (name for part in ("val", "test") for name in rest if name.startswith(part)), None
        )
    if chosen is None:
        logger.info(
            f"{source}: no split to evaluate on; the run keeps its last weights as its best"
        )
        return dataset, None
    validation = read_dataset(source, split=chosen, format=form)
    require_sound(validation, max_errors=most)
    logger.info(f"{source}: {describe_dataset(validation)}")
    unknown = set(validation.names) ^ set(dataset.names)
    if unknown:
        raise InvalidData(
            str(source),
            f"the splits {dataset.split!r} and {chosen!r} do not have the same classes: "
            f"{', '.join(sorted(unknown)[:10])}",
            "Give both the same list of names",
        )
    return dataset, validation


def _image_size(model: Model, recipe: Recipe) -> tuple[tuple[int, int], int]:
    """(height, width) of the network's input, and what random sizes are multiples of."""
    spec = model.spec
    image_size = recipe.image_size or spec.image_size
    divisor = max(model.network.strides)
    whole_cells = isinstance(spec, CfgSpec) or spec.size_divisor > 1
    check_image_size(spec.name, image_size, divisor if whole_cells else 1)
    multiple = recipe.shapes.multiple
    if multiple is not None and whole_cells and multiple % divisor:
        raise InvalidValue("shapes.multiple", multiple, f"a multiple of the stride, {divisor}")
    return image_size, divisor
