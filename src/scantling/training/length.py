"""What of a recipe is too long for a short run is shortened, unless the user set it, and said."""

import logging
from dataclasses import replace

from .recipe import Recipe
from .resolve import ResolvedRecipe

logger = logging.getLogger(__name__)

CLOSING = 1 / 4  # of the epochs, at most without combined images
WARM_UP = 1 / 3  # of the run, at most


def fit_to_length(resolved: ResolvedRecipe, images: int) -> ResolvedRecipe:
    """The recipe with as many epochs without mosaic, and of warm-up, as its run has room for.

    Recipes are made for long runs: of 300 epochs eight without mosaic are few, of eight they are
    all. What the user set stays as it is; where it leaves nothing, that is logged.

    Args:
        resolved: the settings of the run.
        images: of the data.
    """
    _tell_of_cfg(resolved, images)
    shorter = {
        name: value
        for name, value in _shorter(resolved.recipe, images).items()
        if not _is_set(resolved, name)
    }
    if shorter:
        values = {name: value for name, value, _ in resolved.rows()}
        told = ", ".join(f"{name} {values[name]:g} → {value:g}" for name, value in shorter.items())
        logger.warning(f"shortened for {_run_of(resolved.recipe.epochs)}: {told}")
    found = _with(resolved, shorter)
    _tell_what_is_left(found)
    return found


def _shorter(recipe: Recipe, images: int) -> dict[str, float]:
    """The settings that take more than their share of the run, and what would be within it."""
    limits: dict[str, float] = {}
    if recipe.close_mosaic > recipe.epochs * CLOSING:
        limits["close_mosaic"] = int(recipe.epochs * CLOSING)
    if recipe.schedule.warmup_epochs > recipe.epochs * WARM_UP:
        limits["schedule.warmup_epochs"] = round(recipe.epochs * WARM_UP, 2)
    updates = recipe.epochs * images / max(recipe.nominal_batch, recipe.batch)
    if recipe.schedule.warmup_least > updates * WARM_UP:
        limits["schedule.warmup_least"] = int(updates * WARM_UP)
    return limits


def _is_set(resolved: ResolvedRecipe, name: str) -> bool:
    """Whether the user gave a value, by `--set`, from Python or in a file."""
    source = resolved.sources.get(name, "default")
    return source == "given" or source.endswith(".toml")


def _with(resolved: ResolvedRecipe, values: dict[str, float]) -> ResolvedRecipe:
    """The settings with other values, whose source says that they were shortened."""
    recipe, schedule, sources = resolved.recipe, {}, dict(resolved.sources)
    for name, value in values.items():
        group, _, field = name.rpartition(".")
        if group:
            schedule[field] = value
        else:
            recipe = recipe.replace(**{field: value})
        sources[name] = f"{sources.get(name, 'default')}, shortened"
    recipe = recipe.replace(schedule=recipe.schedule.replace(**schedule))
    return replace(resolved, recipe=recipe, sources=sources)


def _tell_of_cfg(resolved: ResolvedRecipe, images: int) -> None:
    """Log how many epochs the updates of a cfg are."""
    recipe, source = resolved.recipe, resolved.sources.get("epochs", "")
    if source.endswith(".cfg"):
        logger.info(
            f"{source}: max_batches × batch / {images:,} images is {_run_of(recipe.epochs)}; "
            "--epochs N for another length"
        )


def _tell_what_is_left(resolved: ResolvedRecipe) -> None:
    """Log where a value of the user's leaves no epoch with mosaic, or was limited."""
    recipe, run = resolved.recipe, _run_of(resolved.recipe.epochs)
    if recipe.close_mosaic >= recipe.epochs:
        logger.warning(
            f"close_mosaic {recipe.close_mosaic} ({resolved.sources['close_mosaic']}) is all of"
            f" {run}: no images are combined"
        )
    half = recipe.epochs / 2
    if recipe.schedule.warmup_epochs > half:
        logger.warning(
            f"schedule.warmup_epochs {recipe.schedule.warmup_epochs:g}: the warm-up is"
            f" {half:g} epochs, half of {run}"
        )


def _run_of(epochs: int) -> str:
    return f"a run of {epochs:,} epoch{'s' if epochs > 1 else ''}"
