"""Every named variant, thin and shallow enough to be exported in a few seconds."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scantling.checkpoints import Model
from scantling.detector import build_detector
from scantling.images.letterbox import resize_and_pad
from scantling.specs import CATALOG, ModelSpec
from scantling.verification.scenes import draw_scenes

WIDTH = 16  # channels, of everything
CLASSES = 3
SEEN = 6  # scenes that the norms have seen
FLAT = 0.05  # share of a channel's mean that its spread is taken to be at least
RARE = -1.5  # what predictions are around, so that most scores are low and none saturates


def thin(name: str) -> ModelSpec:
    """A variant with every kind of its parts and all its levels, but one block in each stage."""
    spec = CATALOG[name]

    def change(part: Any, **more: Any) -> Any:
        widths = part.channels and (WIDTH,) * len(part.channels)
        return part.replace(channels=widths, depth=1, **more)

    stages = tuple(
        stage.replace(
            channels=WIDTH, depth=1, groups=2 if "resnext" in stage.kind else stage.groups
        )
        for stage in spec.backbone.stages
    )
    return spec.replace(
        name="thin",
        image_size=max(2 * spec.strides[-1], 64),  # a map of one pixel spreads nothing
        num_classes=CLASSES,
        backbone=spec.backbone.replace(stages=stages, stem_channels=WIDTH // 2),
        neck=change(spec.neck),
        head=change(spec.head),
    )


def alike() -> list[tuple[str, ...]]:
    """All names of the catalogue, those together that are the same once they are thin."""
    found: dict[str, tuple[str, ...]] = {}
    for name in CATALOG:
        key = thin(name).model_dump_json()
        found[key] = (*found.get(key, ()), name)
    return list(found.values())


@torch.no_grad()
def build(spec: ModelSpec) -> Model:
    """A model of that spec whose every layer says something of what it sees, as a trained one's."""
    torch.manual_seed(7)
    network = build_detector(spec).eval()
    hooks = [
        module.register_forward_pre_hook(see)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    for name, module in network.head.named_modules():
        if "predict" in name and isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
            hooks.append(module.register_forward_hook(spread))
    network(pictures(spec))
    for hook in hooks:
        hook.remove()
    names = tuple(f"thing{label}" for label in range(spec.num_classes))
    return Model(spec, network, names)


def pictures(spec: ModelSpec) -> Tensor:
    """(SEEN, 3, H, W) drawn scenes as the network takes them."""
    own = spec.input
    placed = [
        resize_and_pad(
            scene, spec.image_size, resize_mode=own.resize_mode, pad_value=own.pad_value
        )[0]
        for scene in draw_scenes(SEEN)
    ]
    pixels = torch.from_numpy(np.stack(placed)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (own.mean, own.std))
    return (pixels - mean) / std


def see(norm: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
    """Let a norm's statistics be those of what it sees."""
    variance, mean = torch.var_mean(given[0], dim=(0, 2, 3))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(torch.maximum(variance, (FLAT * mean) ** 2).clamp_min(1e-4))


def spread(conv: nn.Conv2d, _: tuple[Tensor, ...], output: Tensor) -> None:
    """Let predictions spread by one around `RARE`; of levels that share them, the first's."""
    if not conv.bias.any():
        conv.weight.div_(output.std())
        nn.init.constant_(conv.bias, RARE)
