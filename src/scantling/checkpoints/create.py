"""Create a model to train: a variant or a cfg, fresh or from weights, for any classes."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..backbones import load_timm_weights
from ..darknet import read_cfg
from ..datasets.darknet_files import find_names_file, read_names
from ..detector import build_detector
from ..errors import InvalidSpec, InvalidValue
from ..specs import CATALOG, CfgSpec, ModelSpec, change_spec, find_spec, is_spec_file
from ..specs.classes import check_names, default_class_names, unnamed_classes
from ..specs.level import Anchor
from .classes import adapt_classes
from .download import Progress
from .load import CHECKPOINTS, is_partial_weights, load_darknet_weights, load_model
from .model import (
    Model,
    build_empty,
    build_from_state,
    build_network,
    check_network,
    spec_with_anchors,
    spec_with_classes,
    spec_with_image_size,
)

Groups = tuple[tuple[Anchor, ...], ...]  # a group a level, finest first
OFFICIAL_WEIGHTS = "official"


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
    nameless = unnamed_classes(len(model.names))
    if names is not None and model.names == nameless and len(names) == len(nameless):
        model = replace(model, names=names)
        logger.info(f"{len(names)} classes without names: called as given, in that order")
    elif names is not None and names != model.names:
        model, table = adapt_classes(model, names)
        logger.info(f"classes: {table.describe()}")
    model.network.train()
    return model


def prepare_model(
    model: str | Path,
    names: Sequence[str],
    *,
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """Build or load the model to train (name, `.cfg` or checkpoint), for given classes.

    Classes that the weights know are kept by name; what has nothing to do with single classes is
    kept whole.

    Args:
        model: a name of the catalogue, a `.cfg` or a `.json` with a spec, whose weights are fresh
            unless some are named; or a `.safetensors`, `.pt` or `.pth` file, which brings its own.
        names: of the classes, in order.
        weights: a file of any kind that `load_model` reads, a partial `.conv.29` too; or
            `official`, to fetch the published ones.
        cache: folder for what is downloaded.
        progress: told the bytes so far and in all of a download.

    Raises:
        ScantlingError: as `load_model` and `create_model`.
    """
    path = Path(model)
    suffix = path.suffix.lower()
    if weights is not None and suffix not in CHECKPOINTS and is_partial_weights(Path(weights)):
        return _first_layers(path, names, Path(weights))
    if suffix == ".cfg" and weights is None:
        check_names(names)
        spec = spec_with_classes(read_cfg(path), len(names))
        logger.info(f"{path}: fresh weights")
        return Model(spec, build_network(spec).train(), tuple(names))
    if suffix == ".cfg" or suffix in CHECKPOINTS:
        return _adapted(load_model(path, weights=weights), tuple(names))
    if weights is None:
        logger.info(f"{model}: fresh weights")
    official = weights == OFFICIAL_WEIGHTS
    return create_model(
        str(model),
        names=names,
        pretrained=official,
        checkpoint=None if official else weights,
        cache=cache,
        progress=progress,
    )


def _first_layers(model: Path, names: Sequence[str], weights: Path) -> Model:
    """Build a model whose first layers come from partial weights; the rest is initialised."""
    check_names(names)
    is_cfg = model.suffix.lower() == ".cfg"
    spec = spec_with_classes(read_cfg(model) if is_cfg else find_spec(str(model)), len(names))
    if isinstance(spec, ModelSpec) and is_spec_file(model):
        check_network(spec, str(model))
    loaded = load_darknet_weights(spec, weights, tuple(names))
    loaded.network.train()
    return loaded


def anchors_of(model: Model) -> Groups:
    """Anchors of a model, (width, height) in input pixels, finest level first."""
    return tuple(level.anchors for level in model.network.levels)


def with_anchors(model: Model, anchors: Sequence[Anchor]) -> Model:
    """Replace the anchors of a model; weights stay.

    Args:
        model: stays as it is.
        anchors: as many as the model has different ones, by area. The smallest takes the place of
            the smallest, and so on, wherever it is used.

    Raises:
        InvalidSpec: another number of them.
    """
    groups = anchors_of(model)
    old = sorted({anchor for group in groups for anchor in group}, key=_area)
    if len(old) != len(anchors):
        raise InvalidSpec(
            model.spec.name, f"{len(anchors)} anchors for {len(old)}", "Give one for each"
        )
    new = dict(zip(old, sorted(anchors, key=_area), strict=True))
    return _rebuilt(model, spec_with_anchors(model.spec, new))


def with_image_size(model: Model, image_size: tuple[int, int]) -> Model:
    """Change the image size of a model; weights and anchors (in pixels) stay.

    Args:
        model: stays as it is.
        image_size: (height, width).

    Raises:
        InvalidSpec: no size for this model.
    """
    spec = model.spec
    if image_size == spec.image_size:
        return model
    return _rebuilt(model, spec_with_image_size(spec, image_size))


def _rebuilt(model: Model, spec: ModelSpec | CfgSpec) -> Model:
    """Rebuild the network for another spec, with the same weights."""
    network = build_network(spec)
    network.load_state_dict(model.network.state_dict())
    return Model(spec, network.train(model.network.training), model.names, model.seen)


def _area(anchor: Anchor) -> float:
    return anchor[0] * anchor[1]
