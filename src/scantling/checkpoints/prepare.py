"""Build or load the model to train, and adapt it to the data's classes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ..darknet import read_cfg
from ..errors import InvalidSpec
from ..specs import CfgSpec, ModelSpec, find_spec, is_spec_file
from ..specs.classes import check_names
from ..specs.level import Anchor
from .classes import adapt_classes
from .create import create_model
from .download import Progress
from .load import CHECKPOINTS, is_partial_weights, load_darknet_weights, load_model
from .model import (
    Model,
    build_network,
    check_network,
    spec_with_anchors,
    spec_with_classes,
    spec_with_image_size,
)

logger = logging.getLogger(__name__)

Groups = tuple[tuple[Anchor, ...], ...]  # a group a level, finest first
OFFICIAL_WEIGHTS = "official"


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
        loaded = load_model(path, weights=weights)
        return _adapted(loaded, names)
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


def _adapted(model: Model, names: Sequence[str]) -> Model:
    if tuple(names) != model.names:
        model, table = adapt_classes(model, names)
        logger.info(f"classes: {table.describe()}")
    model.network.train()
    return model
