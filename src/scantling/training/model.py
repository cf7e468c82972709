"""A model made ready to train: input size, anchors, normalisations, dropping, compiling, loss."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..blocks import (
    DropBlock,
    SpatialDropout,
    set_drop_connect,
    set_drop_path,
    set_norms,
    use_fast_mish,
)
from ..checkpoints import Model, anchors_of, with_anchors, with_image_size
from ..checkpoints.model import build_network
from ..datasets.anchors import Anchors, box_sizes, fit_anchors, judge_anchors
from ..datasets.dataset import Dataset
from ..errors import InvalidValue
from ..losses import Loss, build_loss
from ..specs import CfgSpec, InputSpec
from .optimizer import freeze
from .plan import rng_for
from .recipe import Recipe, RegularizationSettings

logger = logging.getLogger(__name__)


def prepare_for_training(
    model: Model, dataset: Dataset, recipe: Recipe, *, fit: bool = True
) -> tuple[Model, tuple[Anchors, Anchors | None]]:
    """A model with the input size, anchors, normalisations, dropping and freezing of a recipe.

    Args:
        model: to train.
        dataset: whose boxes the anchors are fitted to.
        recipe: of the run.
        fit: False: the model has been fitted to them already.

    Returns:
        The model; and how its own anchors fit, and the new ones, if it has got new ones.

    Raises:
        InvalidValue, InvalidSpec: a setting does not fit the model.
    """
    image_size = choose_image_size(model, recipe)
    model = with_image_size(model, image_size)  # what it was trained with is what it is run with
    if not fit:
        anchors = recipe.anchors.replace(fit="never")
        recipe = recipe.replace(anchors=anchors)
    model, before, fitted = fit_model_anchors(model, dataset, recipe, image_size=image_size)
    model = add_regularization(model, recipe.regularization)
    compile_network(model, recipe)
    frozen = freeze(model.network, recipe.freeze)
    if frozen:
        logger.info(f"{len(frozen)} tensors of {', '.join(recipe.freeze)} are frozen")
    return model, (before, fitted)


def choose_image_size(model: Model, recipe: Recipe) -> tuple[int, int]:
    """The (height, width) to train at: the recipe's, or the model's own.

    Raises:
        InvalidValue, InvalidSpec: a side, or a multiple of random sizes, does not fit the strides.
    """
    spec = model.spec
    image_size = recipe.image_size or spec.image_size
    sizes, shapes = model.network.sizes, recipe.shapes
    sizes.check(spec.name, image_size)
    if sizes.divisor is None and shapes.range > 1:
        raise InvalidValue("shapes.range", shapes.range, "1: the network takes its own size alone")
    if shapes.multiple is not None and sizes.divisor and shapes.multiple % sizes.divisor:
        raise InvalidValue(
            "shapes.multiple",
            shapes.multiple,
            f"a multiple of {sizes.divisor}, which the strides of the network ask for",
        )
    return image_size


def loss_for(model: Model, recipe: Recipe) -> Loss:
    """Build the loss of a recipe for a model, native or of a cfg.

    Raises:
        InvalidValue: the loss cannot read the boxes of this model.
    """
    levels = model.network.levels
    if any(level.class_activation != "sigmoid" for level in levels):
        raise InvalidValue("model", model.spec.name, "one whose classes are not a softmax")
    return build_loss(levels, model.spec.num_classes, recipe.loss)


def add_regularization(model: Model, settings: RegularizationSettings) -> Model:
    """Set the normalisation, DropBlock, spatial dropout and stochastic depth of a recipe.

    Its weights and what is saved of it stay the same, but with `frn`, which is another network.

    Raises:
        InvalidValue: the network of a cfg, where the cfg itself says what is dropped.
    """
    spec, network = model.spec, model.network
    dropped = any(
        (settings.drop_block, settings.spatial_dropout, settings.drop_path, settings.drop_connect)
    )
    if settings.norm != "frn":
        set_norms(network, settings.norm)
    if isinstance(spec, CfgSpec):
        if dropped or settings.norm == "frn":
            raise InvalidValue(
                "regularization",
                settings.norm if settings.norm == "frn" else "dropping",
                "nothing of that for a cfg, but a [dropout] section in it",
            )
        return model
    if settings.norm == "frn" and spec.norm != "frn":
        spec = spec.replace(norm="frn")
        changed = build_network(spec)
        state, own = network.state_dict(), changed.state_dict()
        same = {name: t for name, t in state.items() if name in own and own[name].shape == t.shape}
        changed.load_state_dict({**own, **same})
        model = replace(model, spec=spec, network=changed.train())
    _drop(model.network, settings)
    return model


def _drop(network: nn.Module, settings: RegularizationSettings) -> None:
    """Set what a network drops in training, in place."""
    drops: list[nn.Module] = []
    if settings.drop_block:
        drops.append(DropBlock(settings.drop_block, size=settings.drop_block_size))
    if settings.spatial_dropout:
        drops.append(SpatialDropout(settings.spatial_dropout))
    if drops:
        network.drop = nn.Sequential(*drops)
    if settings.drop_path and not set_drop_path(network, settings.drop_path):
        raise InvalidValue("regularization.drop_path", settings.drop_path, "0: it has no residuals")
    if settings.drop_connect:
        set_drop_connect(network, settings.drop_connect)


def compile_network(model: Model, recipe: Recipe) -> None:
    """Compile the network, or its Mish activations, as the recipe says, in place.

    Raises:
        InvalidValue: it is wanted, and there is no compiler here.
    """
    if recipe.compile == "network":
        model.network.compile()
    has_mish = any(isinstance(module, nn.Mish) for module in model.network.modules())
    if not has_mish or recipe.compile in ("network", "none"):
        return
    if not use_fast_mish(model.network):
        if recipe.compile == "activations":
            raise InvalidValue("compile", "activations", "none: no C++ compiler was found")
        logger.info("no C++ compiler was found: Mish is PyTorch's, three times slower")


def fit_model_anchors(
    model: Model, dataset: Dataset, recipe: Recipe, *, image_size: tuple[int, int]
) -> tuple[Model, Anchors, Anchors | None]:
    """Fit the model's anchors to the boxes of the data, where the recipe asks for it.

    Returns:
        The model; how its own anchors fit; and the new ones, if it has got new ones.
    """
    settings, boxes = recipe.anchors, box_sizes(dataset, image_size)
    own = {anchor for group in anchors_of(model) for anchor in group}
    rule: dict[str, Any] = {"fitness": settings.fitness, "threshold": settings.threshold}
    before = judge_anchors(boxes, np.array(sorted(own), np.float32), **rule)
    wanted = settings.fit == "always" or (
        settings.fit == "auto" and before.recall < settings.least_recall
    )
    if not wanted or len(np.unique(boxes, axis=0)) < len(own):
        return model, before, None
    found = fit_anchors(
        boxes,
        len(own),
        rng=rng_for(recipe.seed, "anchors"),
        generations=settings.generations,
        **rule,
    )
    if found.fitness <= before.fitness:
        return model, before, None
    sizes = [(round(float(width), 1), round(float(height), 1)) for width, height in found.sizes]
    return with_anchors(model, sizes), before, found


class Normalize:
    """Subtract the mean and divide by the deviation: (N, 3, H, W) pixels, 0 to 255 → float32.

    Args:
        spec: with mean and deviation of red, green and blue scaled to 0–1.
        device: of the pixels.
    """

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        self._mean, self._std = (
            255 * torch.tensor(values, device=device).view(3, 1, 1)
            for values in (spec.mean, spec.std)
        )

    def __call__(self, images: Tensor) -> Tensor:
        return torch.sub(images, self._mean).div_(self._std)  # uint8 becomes float32 on the way
