"""Create a model to train: a variant, freshly initialised or from weights, for any classes."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..backbones import load_timm_weights
from ..datasets.darknet_files import find_names_file, read_names
from ..detector import build_detector
from ..errors import InvalidValue
from ..specs import CATALOG, ModelSpec, change_spec, find_spec, is_spec_file
from ..specs.classes import default_class_names
from .classes import adapt_classes
from .download import Progress
from .load import load_model
from .model import Model, build_empty, build_from_state, check_network

logger = logging.getLogger(__name__)

Names = Sequence[str] | str | Path


def create_model(
    model: str | ModelSpec,
    *,
    num_classes: int | None = None,
    names: Names | None = None,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    pretrained_backbone: bool = False,
    image_size: int | tuple[int, int] | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    **overrides: object,
) -> Model:
    """Create a model to train, by name, for given classes and with changes to its spec.

    Args:
        model: a name of the catalogue, a spec, or a `.json` file that holds one.
        num_classes: how many; as many as the weights or the spec have if None.
        names: of the classes, or a `.names`, `.txt` or `.data` file that holds them.
        pretrained: start from the official weights. For other classes, what has nothing to do with
            single classes is kept, and so are the classes of the same name. Weights that came
            without names, and have as many classes, get those given.
        checkpoint: start from the weights in this file instead.
        pretrained_backbone: start from timm's weights of a backbone of kind `timm`.
        image_size: (height, width), or the side of a square.
        cache: folder for what is downloaded; the user's own if None.
        progress: told the bytes so far and in all of a download.
        overrides: any setting of the spec, parts joined by two underscores:
            `neck__fusion="softmax"`, `backbone=timm_backbone("mobilenetv3_large_100")`.

    Returns:
        The model, its network in training mode.

    Raises:
        UnknownName: no model or no setting has this name; suggests the nearest.
        InvalidValue: settings that contradict each other, or the weights.
        InvalidSpec: the spec that results is none.
        DownloadFailed, InvalidCheckpoint, InvalidWeights: as `load_model`.
    """
    chosen = _read(names)
    name = model if isinstance(model, str) else model.name
    _check_arguments(num_classes, chosen, pretrained, checkpoint, pretrained_backbone)
    if image_size is not None:
        overrides["image_size"] = image_size
    if not pretrained and checkpoint is None:
        spec = find_spec(model) if isinstance(model, str) else model
        spec = change_spec(spec, overrides)
        if isinstance(model, str) and is_spec_file(model):
            check_network(spec, model)
        count = len(chosen) if chosen else num_classes or spec.num_classes
        return _fresh(spec.replace(num_classes=count), chosen, pretrained_backbone)
    if checkpoint is not None and not isinstance(model, str) and name not in CATALOG:
        found = load_model(checkpoint)  # weights of a spec of one's own say what they are
    else:
        found = load_model(name, weights=checkpoint, cache=cache, progress=progress)
    if chosen is None and num_classes not in (None, found.spec.num_classes):
        chosen = default_class_names(found.spec.replace(num_classes=num_classes))
    return _adapted(_changed(model, found, overrides), chosen)


def _read(names: Names | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, (str, Path)):
        return read_names(find_names_file(Path(names)))
    return tuple(names)


def _check_arguments(
    num_classes: int | None,
    names: tuple[str, ...] | None,
    pretrained: bool,
    checkpoint: str | Path | None,
    pretrained_backbone: bool,
) -> None:
    """Raise for contradictory arguments, before any download."""
    if num_classes is not None and num_classes < 1:
        raise InvalidValue("num_classes", num_classes, "one or more")
    if names is not None and num_classes not in (None, len(names)):
        raise InvalidValue("num_classes", num_classes, f"{len(names)}, as names has, or neither")
    if names is not None and not names:
        raise InvalidValue("names", names, "one name or more")
    if pretrained and checkpoint is not None:
        raise InvalidValue("checkpoint", str(checkpoint), "none with pretrained=True: give one")
    if pretrained_backbone and (pretrained or checkpoint is not None):
        raise InvalidValue(
            "pretrained_backbone", True, "False, as the other weights hold a backbone too"
        )


def _fresh(spec: ModelSpec, names: tuple[str, ...] | None, pretrained_backbone: bool) -> Model:
    network = build_detector(spec)
    if pretrained_backbone:
        load_timm_weights(network.backbone)
    return Model(spec, network.train(), names or default_class_names(spec))


def _changed(model: str | ModelSpec, found: Model, overrides: dict[str, object]) -> Model:
    """Apply changes to the spec of loaded weights, which have to fit it unchanged."""
    if not isinstance(found.spec, ModelSpec):
        raise InvalidValue("checkpoint", found.spec.name, "weights of a named model, not of a cfg")
    classes = found.spec.num_classes
    own = found.spec if isinstance(model, str) else model.replace(num_classes=classes)
    spec = change_spec(own, overrides)
    if spec == found.spec:
        return found
    state = found.network.state_dict()
    shapes = {name: tensor.shape for name, tensor in build_empty(spec).state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in state.items()}:
        raise InvalidValue(
            "The settings",
            sorted(overrides) or spec.name,
            f"what leaves the weights of {found.spec.name} as they are, or no weights",
        )
    return replace(found, spec=spec, network=build_from_state(spec, state))


def _adapted(model: Model, names: tuple[str, ...] | None) -> Model:
    """Adapt the model to classes of these names, in training mode."""
    nameless = tuple(f"class{label}" for label in range(len(model.names)))
    if names is not None and model.names == nameless and len(names) == len(nameless):
        model = replace(model, names=names)
        logger.info(f"{len(names)} classes without names: called as given, in that order")
    elif names is not None and names != model.names:
        model, table = adapt_classes(model, names)
        logger.info(f"classes: {table.describe()}")
    model.network.train()
    return model
