"""Start, resume and set up a run: what is cheap to find wrong is found before anything is read."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import prepare_model
from ..checkpoints.native import build_described
from ..engines.torch_engine import torch_threads, usual_threads
from ..errors import InvalidSettings, InvalidValue, ScantlingError
from ..specs import InputSpec
from .accelerator import TrialStep, check_trackers, fit_batch_to_memory, open_accelerator
from .data import fingerprint, make_augmentation, make_mixers, open_augmented, read_splits
from .ema import EMA
from .folder import (
    RunArgs,
    RunFolder,
    lock_folder,
    new_folder,
    require_empty,
    write_environment,
    write_settings,
)
from .loop import Trainer, seeded
from .model import Normalize, loss_for, prepare_for_training
from .optimizer import build_optimizer
from .plan import StepPlan
from .recipes import recipe_before_loading, recipe_of_model
from .resolve import SettingsLayers, fit_to_length, names_a_recipe, read_layers, resolve_recipe
from .run import Run
from .state import TrainState


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
    """Set up a new run; training begins with `Run.events`.

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
    layers = read_layers(recipe, settings or {})
    seed = _check_settings(model, layers)  # a mistake should not cost a download
    check_trackers(trackers)
    args = RunArgs(
        model=_absolute(model),
        data=str(Path(data).absolute()),
        weights=None if weights is None else _absolute(weights),
        split=split,
        validation_split=validation_split,
        format=format,
        max_data_errors=max_data_errors,
        device=device,
        trackers=tuple(trackers),
        seed=seed,
    )
    rank, processes = process_rank()
    if processes > 1 and out is None:
        raise InvalidValue("out", None, "a folder, when several processes train together")
    new = out is None or not Path(out).exists()
    home = RunFolder(Path(out)) if rank and out else new_folder(None if out is None else Path(out))
    lock = None if rank else lock_folder(home)
    try:
        if not rank:
            require_empty(home.path)  # another process may have trained there meanwhile
        with seeded(args.seed), torch_threads(usual_threads()):  # fresh weights are random
            run = build_run(home, args, layers, cache=cache)
    except BaseException:
        if lock is not None:
            lock.release()
            if new:
                with suppress(OSError):
                    home.path.rmdir()  # only while nothing is in it
        raise
    run.lock = lock
    return run


def train(model: str | Path, data: str | Path, **options: Any) -> Run:
    """Train a model to the end of its recipe; `open_run` takes the options.

    >>> train("yolov4-tiny", "data.yaml", settings={"epochs": 50}).folder.best  # doctest: +SKIP
    """
    run = open_run(model, data, **options)
    for _ in run.events():
        pass
    return run


def build_run(
    folder: RunFolder,
    args: RunArgs,
    layers: SettingsLayers,
    *,
    cache: str | Path | None,
    resumed: bool = False,
    notes: Mapping[str, Any] | None = None,
) -> Run:
    """Build a run: data, model, device, loss, steps, training set, state.

    What is cheap to find wrong comes first. A run that is resumed keeps the batch it was fitted to,
    and its model is the one of which `notes`, those of its state, tell.
    """
    dataset, validation = read_splits(args)
    described = None if notes is None else notes.get("model")  # not in states of version 0.1
    if described is None:
        model = prepare_model(args.model, dataset.names, weights=args.weights, cache=cache)
    else:
        model = build_described(described, folder.state)
    fresh = not resumed
    if fresh and not names_a_recipe(layers):
        layers = [recipe_of_model(model, images=len(dataset)), *layers]
    resolved = resolve_recipe(layers)
    if fresh:
        resolved = fit_to_length(resolved, len(dataset))
    model, anchors = prepare_for_training(model, dataset, resolved.recipe, fit=described is None)

    accelerator = open_accelerator(
        args.device,
        resolved.recipe,
        args.trackers,
        folder,
        cache=None if cache is None else Path(cache),
    )
    device = accelerator.device
    loss = loss_for(model, resolved.recipe)
    loss.to(device)
    model.network.to(device).to(memory_format=torch.channels_last)
    step = model.network.sizes.step or 1  # where there is none, the size stays
    plan = StepPlan(resolved.recipe, len(dataset), model.spec.image_size, step)
    if fresh:
        trial = TrialStep(model.network, loss, plan.largest_size, device, accelerator.autocast)
        resolved = fit_batch_to_memory(resolved, trial, accelerator)
        plan = replace(plan, recipe=resolved.recipe)
    recipe, input_spec = resolved.recipe, model.spec.input
    training_set = open_augmented(
        dataset, recipe, input_spec, largest_size=plan.largest_size, cache=cache
    )
    ema = EMA(model.network, recipe.ema) if recipe.ema.decay else None
    optimizer = build_optimizer(model.network, recipe.optimizer)
    state = TrainState(model.network, optimizer, ema, accelerator.scaler)
    trainer = Trainer(plan, loss, accelerator, Normalize(input_spec, device))
    if accelerator.is_main_process:
        if fresh:
            write_settings(folder, resolved, args, fingerprint(dataset, validation))
        if fresh or not folder.environment.exists():
            write_environment(folder, accelerator)
    return Run(folder, model, resolved, trainer, state, training_set, validation, anchors)


def _check_settings(model: str | Path, layers: SettingsLayers) -> int:
    """Check the settings, as far as that is possible before the model is read; the seed.

    Args:
        model: as `prepare_model` takes it. Of a file that is not a cfg the family is not known
            yet, and what the settings say of its loss is checked when it is read.
        layers: as `read_layers` made them.

    Raises:
        InvalidSettings: all that is wrong.
        UnknownName: no model is called so.
    """
    if not names_a_recipe(layers):
        base = recipe_before_loading(model)
        if base is None:
            layers = [(source, _without_loss(table)) for source, table in layers]
        else:
            layers = [base, *layers]
    recipe = resolve_recipe(layers).recipe
    make_augmentation(recipe.augment, input_spec=InputSpec())
    try:
        make_mixers(recipe.augment, input_spec=InputSpec())
    except ScantlingError as error:
        raise InvalidSettings([f"augment.mixers: {error}"]) from error
    return recipe.seed


def _without_loss(table: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = isinstance(table.get("loss"), Mapping) and "kind" in table["loss"]
    return table if kind else {name: value for name, value in table.items() if name != "loss"}


def process_rank() -> tuple[int, int]:
    """Rank and world size, as `torchrun` and `accelerate launch` set them.

    Raises:
        InvalidValue: they say no numbers.
    """
    given = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    try:
        return int(given[0]), int(given[1])
    except ValueError:
        raise InvalidValue("RANK, WORLD_SIZE", given, "numbers") from None


def _absolute(given: str | Path) -> str:
    """The path of a file, so that it holds from every folder; a name stays."""
    path = Path(given)
    return str(path.absolute()) if path.is_file() else str(given)
