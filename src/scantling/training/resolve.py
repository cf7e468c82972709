"""Merge layers of settings into one recipe that knows the source of every value.

Weakest first: the field's default, the recipe of the model, the run file, the command line. What is
too long for a short run is then shortened, unless the user set it, and said.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidSettings
from ..images.read import read_bytes
from ..io import find_foreign
from ..specs.parsing import MAX_BYTES, MAX_DEPTH, parse_toml
from .recipe import OLD_NAMES, Recipe
from .recipes import RECIPES
from .setting_hints import hint_for

logger = logging.getLogger(__name__)

# (source, settings as nested tables), weakest first.
SettingsLayers = Sequence[tuple[str, Mapping[str, Any]]]

CLOSING = 1 / 4  # of the epochs, at most without combined images
WARM_UP = 1 / 3  # of the run, at most

# Settings that decide which others there are, and those others.
CLEARED = {"loss.kind": "loss", "augment.kind": "augment.settings"}


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe, and where each of its values was given.

    Args:
        recipe: what holds.
        sources: where each setting, such as `optimizer.momentum`, was given: `default` or the name
            of a source.
    """

    recipe: Recipe
    sources: dict[str, str]

    def rows(self) -> list[tuple[str, Any, str]]:
        """(setting, value, source) of every setting, in the order of the recipe."""
        return [
            (name, value, self.sources.get(name, "default"))
            for name, value in flatten(self.recipe.model_dump(mode="json"))
        ]


def resolve_recipe(layers: SettingsLayers) -> ResolvedRecipe:
    """Merge layers of settings, the later over the earlier, and check the result.

    Args:
        layers: (source, settings), weakest first; settings are nested tables.

    Raises:
        InvalidSettings: all that is wrong, each with where it was given.
    """
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, settings in layers:
        for name, value in _kinds_first(settings):
            _put(merged, name, value, sources)
            sources[name] = source
    if isinstance(merged.get("loss"), dict):  # without a kind nobody knows what the rest means
        merged["loss"].setdefault("kind", Recipe().loss.kind)
    try:
        return ResolvedRecipe(Recipe.model_validate(merged), sources)
    except ValidationError as error:
        chosen = {group: _kind_of(merged, group) for group in ("loss", "augment")}
        problems = [_explain(problem, sources, chosen) for problem in error.errors()]
        raise InvalidSettings(dict.fromkeys(problems)) from error


def read_layers(recipe: str | Path | None, settings: Mapping[str, Any]) -> SettingsLayers:
    """The layers of a recipe's name or file and of given settings; the model's own comes below.

    Raises:
        InvalidSettings: there is no such recipe.
        InvalidSource: the file cannot be read.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    known = ", ".join(RECIPES)
    name: object = recipe if isinstance(recipe, str) and recipe in RECIPES else None
    if recipe is not None and name is None:
        if not str(recipe).endswith(".toml"):
            raise InvalidSettings([f"recipe {str(recipe)!r}: expected a .toml file, or {known}"])
        table = read_run_file(Path(recipe))
        name = table.pop("recipe", None)
        layers.append((str(recipe), table))
    if name is not None:
        if name not in RECIPES:
            raise InvalidSettings([f"recipe: {name!r} given; expected one of {known}"])
        layers.insert(0, (f"recipe {name}", RECIPES[str(name)]))
    layers.append(("given", settings))
    return layers


def names_a_recipe(layers: SettingsLayers) -> bool:
    """Whether a recipe was asked for by name, in place of the model's own."""
    return any(source.startswith("recipe ") for source, _ in layers)


def read_run_file(path: Path) -> dict[str, Any]:
    """The settings of a TOML file.

    Raises:
        InvalidSource: it cannot be read.
        InvalidSettings: it is no TOML.
    """
    data = read_bytes(path, max_bytes=MAX_BYTES)
    try:
        return parse_toml(data.decode("utf-8-sig"))
    except ValueError as error:
        problem = find_foreign(data) or f"no TOML: {error}"
        raise InvalidSettings([f"{path}: is {problem}"]) from error


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """`optimizer.momentum=0.9` and so on, as nested tables; values are TOML, or else text.

    Raises:
        InvalidSettings: a word has no `=`.
    """
    found: dict[str, Any] = {}
    wrong = [word for word in words if not word.partition("=")[1] or not word.partition("=")[0]]
    if wrong:
        raise InvalidSettings([f"{word!r}: expected key=value" for word in wrong])
    deep = [word for word in words if word.partition("=")[0].count(".") > MAX_DEPTH]
    if deep:
        raise InvalidSettings([f"{word[:60]!r}: no setting has so many parts" for word in deep])
    for word in words:
        name, _, text = word.partition("=")
        try:
            value = parse_toml(f"value = {text}")["value"]
        except ValueError:
            value = text
        _put(found, name.strip(), value, {})
    return found


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything in nested tables; empty tables count as a value."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def _kinds_first(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(dotted name, value) of everything, but first the kinds, which clear what is of another."""
    return sorted(flatten(settings), key=lambda row: row[0] not in CLEARED)


def _put(table: dict[str, Any], name: str, value: Any, sources: dict[str, str]) -> None:
    """Set one value in nested tables."""
    whole = table
    *path, last = name.split(".")
    for part in path:
        inner = table.get(part)
        if not isinstance(inner, dict):
            inner = table[part] = {}
        table = inner
    if name in CLEARED and table.get("kind", value) != value:
        # another kind has other settings: those of the old one go
        cleared = CLEARED[name]
        for old in [known for known in sources if f"{known}.".startswith(f"{cleared}.")]:
            del sources[old]
        _clear(whole, cleared)
    if value != {} or not isinstance(table.get(last), dict):
        table[last] = value


def _clear(table: dict[str, Any], name: str) -> None:
    """Empty one nested table, if it is there."""
    inner: Any = table
    for part in name.split("."):
        inner = inner.get(part) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.clear()


def _kind_of(merged: Mapping[str, Any], group: str) -> str:
    """The kind of loss or augmentation that settings name, or else the default."""
    given = merged.get(group)
    default: str = getattr(Recipe(), group).kind
    return str(given.get("kind", default)) if isinstance(given, Mapping) else default


def _explain(problem: Any, sources: Mapping[str, str], chosen: Mapping[str, str]) -> str:
    """One thing that is wrong, as `setting (source): what was given, what was expected`."""
    # the type of a value that may be of several stands there too, but is no part of the name
    place = map(str, problem["loc"])
    name = ".".join(takewhile(lambda part: part.replace("_", "").isalnum(), place))
    source = next((sources[known] for known in sources if known.startswith(name)), "")
    given = json.dumps(problem["input"], default=str)[:80]
    where = f" ({source})" if source else ""
    if problem["type"] == "extra_forbidden":
        if name in OLD_NAMES:
            return f"{name}{where}: it is called {OLD_NAMES[name]} now"
        plain = flatten(Recipe().model_dump(mode="json"))  # the loss's own are those of its kind
        known = [one for one, _ in plain if one == "loss.kind" or not one.startswith("loss.")]
        return f"{name}{where}: there is no such setting.{hint_for(name, known, chosen)}"
    if name.startswith("image_size"):
        expected = "expected a side in pixels, such as 416, or (height, width)"
    else:
        expected = f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"{name}{where}: {given} given; {expected}"


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
