"""From a model and a recipe to what the loop needs: loss, normalisations, what is dropped."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..augment import AUGMENTATIONS, MIXERS, TRANSFORMS, Compose, Transform, create, load_transform
from ..blocks import (
    DropBlock,
    SpatialDropout,
    set_drop_connect,
    set_drop_path,
    set_norms,
    use_fast_mish,
)
from ..checkpoints import Model, anchors_of, with_anchors
from ..checkpoints.networks import build_network
from ..darknet import DarknetNetwork
from ..datasets.anchors import Anchors, box_sizes, fit_anchors, judge_anchors
from ..datasets.dataset import Dataset
from ..datasets.loader import Augmentation
from ..detector import Detector
from ..errors import InvalidSettings, InvalidValue, ScantlingError
from ..images.letterbox import resize_and_pad
from ..losses import Loss, build_loss
from ..specs import InputSpec, ModelSpec
from ..structures import Sample
from .plan import rng_for
from .recipe import AugmentSettings, Recipe, RegulariseSettings

logger = logging.getLogger(__name__)


def make_loss(model: Model, recipe: Recipe) -> Loss:
    """The loss of a recipe for a model, native or of a cfg.

    Raises:
        InvalidValue: the loss cannot read the boxes of this model.
    """
    levels = model.network.levels
    if any(level.class_activation != "sigmoid" for level in levels):
        raise InvalidValue("model", model.spec.name, "one whose classes are not a softmax")
    return build_loss(levels, model.spec.num_classes, recipe.loss)


def regularise(model: Model, settings: RegulariseSettings) -> Model:
    """A model with the normalisations and droppings of a recipe.

    Its weights and what is saved of it stay the same, but with `frn`, which is another network.

    Raises:
        InvalidValue: the network of a cfg, where the cfg itself says what is dropped.
    """
    spec, network = model.spec, model.network
    dropped = any(
        (settings.drop_block, settings.spatial_dropout, settings.drop_path, settings.drop_connect)
    )
    if isinstance(network, DarknetNetwork) and (dropped or settings.norm == "frn"):
        raise InvalidValue(
            "regularise",
            settings.norm if settings.norm == "frn" else "dropping",
            "nothing of that for a cfg, but a [dropout] section in it",
        )
    if settings.norm == "frn" and isinstance(spec, ModelSpec) and spec.norm != "frn":
        spec = spec.replace(norm="frn")
        changed = build_network(spec)
        state, own = network.state_dict(), changed.state_dict()
        same = {name: t for name, t in state.items() if name in own and own[name].shape == t.shape}
        changed.load_state_dict({**own, **same})
        model = replace(model, spec=spec, network=changed.train())
        network = changed
    elif settings.norm != "frn":
        set_norms(network, settings.norm)
    if isinstance(network, Detector):
        drops: list[nn.Module] = []
        if settings.drop_block:
            drops.append(DropBlock(settings.drop_block, size=settings.drop_block_size))
        if settings.spatial_dropout:
            drops.append(SpatialDropout(settings.spatial_dropout))
        network.drop = nn.Sequential(*drops) if drops else nn.Identity()
        if settings.drop_path and not set_drop_path(network, settings.drop_path):
            raise InvalidValue("regularise.drop_path", settings.drop_path, "0: it has no residuals")
        if settings.drop_connect:
            set_drop_connect(network, settings.drop_connect)
    return model


def speed_up(model: Model, recipe: Recipe) -> None:
    """Compile what the recipe wants compiled, in place; weights and names stay.

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


def choose_anchors(
    model: Model, dataset: Dataset, recipe: Recipe, *, image_size: tuple[int, int]
) -> tuple[Model, Anchors, Anchors | None]:
    """A model whose anchors fit the data, if the settings want it so.

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


class Normalise:
    """(N, 3, H, W) pixels, 0 to 255 → float32, less the mean, over the deviation.

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


@dataclass(frozen=True)
class SizedAugmentation:
    """From an image size to the augmentation of that size; it can be sent to another process.

    Args:
        own: of some size; None to place images as in prediction, and nothing else.
        extra: transforms after the placing.
        input_spec: how images are placed.
    """

    own: Any
    extra: tuple[Transform, ...]
    input_spec: InputSpec

    def __call__(self, image_size: tuple[int, int]) -> Augmentation:
        if self.own is None:
            return Placed(image_size, self.extra, self.input_spec)
        sized: Augmentation = replace(self.own, image_size=image_size)
        return sized


@dataclass(frozen=True)
class Placed:
    """No augmentation: the image placed as in prediction, then transforms."""

    image_size: tuple[int, int]
    extra: tuple[Transform, ...]
    input_spec: InputSpec

    def __call__(self, sample: Sample, rng: np.random.Generator, *, draw: object) -> Sample:  # noqa: ARG002
        how = self.input_spec
        image, placement = resize_and_pad(
            sample.image, self.image_size, resize_mode=how.resize_mode, pad_value=how.pad_value
        )
        placed = replace(sample, image=image, boxes=placement.apply(sample.boxes))
        return Compose(self.extra)(placed, rng)


def make_augmentation(settings: AugmentSettings, *, input_spec: InputSpec) -> SizedAugmentation:
    """The augmentation of a recipe.

    Args:
        settings: of the recipe.
        input_spec: how images are placed where there is no augmentation.

    Raises:
        InvalidSettings: a setting that does not exist or does not hold.
    """
    try:
        extra = tuple(
            load_transform(one.name, one.settings)
            if ":" in one.name
            else create(TRANSFORMS, one.name, one.settings)
            for one in settings.extra
        )
        if settings.kind == "none":
            return SizedAugmentation(None, extra, input_spec)
        own = create(AUGMENTATIONS, settings.kind, {**settings.settings, "extra": extra})
    except ScantlingError as error:
        raise InvalidSettings([f"augment: {error}"]) from error
    return SizedAugmentation(own, (), input_spec)


def make_mixers(settings: AugmentSettings) -> dict[Any, float]:
    """The mixers of whole samples, each with its chance.

    Raises:
        UnknownName, InvalidValue: a mixer or setting that does not exist or hold.
    """
    return {
        create(MIXERS, mixer.name, mixer.settings): mixer.probability for mixer in settings.mixers
    }
