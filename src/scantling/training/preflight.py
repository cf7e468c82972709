"""What can be wrong with a run before any data is read, and whose recipe it is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints import Model
from ..darknet import DarknetNetwork
from ..darknet.recipe import cfg_recipe
from ..errors import InvalidSettings, InvalidValue, ScantlingError
from ..specs import CfgSpec, InputSpec, ModelSpec, find_spec
from .components import make_augmentation, make_mixers
from .recipes import RECIPES, recipe_name
from .resolve import read_run_file, resolve_recipe

MODEL_FILES = (".safetensors", ".pt", ".pth")
Layers = Sequence[tuple[str, Mapping[str, Any]]]


def read_layers(recipe: str | Path | None, settings: Mapping[str, Any]) -> Layers:
    """What was named and given, weakest first; the model's own recipe comes below it later.

    Raises:
        InvalidSettings: there is no such recipe.
        InvalidSource: the file cannot be read.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    name: object = recipe if isinstance(recipe, str) and recipe in RECIPES else None
    if recipe is not None and name is None:
        if not str(recipe).endswith(".toml"):
            known = ", ".join(RECIPES)
            raise InvalidSettings([f"recipe {str(recipe)!r}: expected a .toml file, or {known}"])
        table = read_run_file(Path(recipe))
        name = table.pop("recipe", None)
        layers.append((str(recipe), table))
    if name is not None:
        if name not in RECIPES:
            known = ", ".join(RECIPES)
            raise InvalidSettings([f"recipe: {name!r} given; expected one of {known}"])
        layers.insert(0, (f"recipe {name}", RECIPES[str(name)]))
    layers.append(("given", settings))
    return layers


def names_a_recipe(layers: Layers) -> bool:
    """Whether the layers stand on a recipe that was asked for, in place of the model's own."""
    return any(source.startswith("recipe ") for source, _ in layers)


def own_recipe(model: Model) -> tuple[str, Mapping[str, Any]]:
    """The recipe of a model: what its cfg says, or that of its family."""
    network, spec = model.network, model.spec
    if isinstance(network, DarknetNetwork) and isinstance(spec, CfgSpec):
        return f"{spec.name}.cfg", cfg_recipe(spec, network.detection_layers)
    name = recipe_name(spec.name, head=spec.head.kind if isinstance(spec, ModelSpec) else "yolo")
    return f"recipe {name}", RECIPES[name]


def check_settings(model: str | Path, layers: Layers) -> int:
    """Find what is wrong with the settings, as far as that is known without the model.

    Args:
        model: as `prepare_model` takes it. Of a file that is not a cfg the family is not known
            yet, and what the settings say of its loss is checked when it is read.
        layers: as `read_layers` made them.

    Returns:
        The seed of the run.

    Raises:
        InvalidSettings: all that is wrong.
        UnknownName: no model is called so.
    """
    if not names_a_recipe(layers):
        base = _likely_recipe(model)
        if base is None:
            layers = [(source, _without_loss(table)) for source, table in layers]
        else:
            layers = [base, *layers]
    recipe = resolve_recipe(layers).recipe
    make_augmentation(recipe.augment, input_spec=InputSpec())
    try:
        make_mixers(recipe.augment)
    except ScantlingError as error:
        raise InvalidSettings([f"augment.mixers: {error}"]) from error
    return recipe.seed


def _likely_recipe(model: str | Path) -> tuple[str, Mapping[str, Any]] | None:
    """The recipe of a name of the catalogue; of a cfg, as much as decides what settings it has."""
    suffix = Path(model).suffix.lower()
    if suffix == ".cfg":
        return "cfg", {"loss": {"kind": "darknet"}, "augment": {"kind": "darknet"}}
    if suffix in MODEL_FILES:
        return None
    spec = find_spec(str(model))
    name = recipe_name(spec.name, head=spec.head.kind)
    return f"recipe {name}", RECIPES[name]


def _without_loss(table: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = isinstance(table.get("loss"), Mapping) and "kind" in table["loss"]
    return table if kind else {name: value for name, value in table.items() if name != "loss"}


def process_place() -> tuple[int, int]:
    """This process's number and how many there are, as `torchrun` and `accelerate launch` say.

    Raises:
        InvalidValue: they say no numbers.
    """
    given = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    try:
        return int(given[0]), int(given[1])
    except ValueError:
        raise InvalidValue("RANK, WORLD_SIZE", given, "numbers") from None
