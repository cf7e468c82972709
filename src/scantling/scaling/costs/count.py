"""Count the cost of every layer of a network, for a precision and an image size."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from ...blocks import fuse_norms
from ...checkpoints.model import build_empty
from ...darknet.describe import read_sections
from ...errors import InvalidValue, lookup
from ...specs import CfgSpec, ModelSpec
from .layer import LayerCost, NetworkCost, PartCost
from .trace import trace_module

# Number formats: what the network is run in, and what every byte of that is taken for.
PRECISIONS: dict[str, tuple[torch.dtype, float]] = {
    "fp32": (torch.float32, 1.0),
    "fp16": (torch.float16, 1.0),
    "bf16": (torch.bfloat16, 1.0),
    "int8": (torch.float32, 0.25),
}
_STEMS = ("stem", "conv_stem", "conv1", "bn1", "act1", "maxpool")  # how networks of timm begin
# Parts of a backbone that hold others, which are what one would name.
_SHELVES = frozenset(("blocks", "stages", "layers", "features"))


def count_costs(
    spec: ModelSpec | CfgSpec,
    *,
    image_size: int | tuple[int, int] | None = None,
    batch: int = 1,
    precision: str = "fp32",
    fused: bool = False,
) -> NetworkCost:
    """Count the cost of a spec's network layer by layer, by running it on meta tensors.

    Args:
        spec: of any family, or of a cfg.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.
        precision: `fp32`, `fp16`, `bf16`, or `int8`, which takes every value for one byte.
        fused: fold the norms into the convolutions first, as every engine does.

    Raises:
        InvalidSpec: the network takes no images of that size.
        InvalidCfg: the cfg cannot be built at that size.
        UnknownName: there is no such precision.
        InvalidValue: a batch without images.
    """
    dtype, scale = lookup(PRECISIONS, precision, "precision")
    if batch < 1:
        raise InvalidValue("batch", batch, "one image or more")
    if image_size is not None:
        spec = spec.replace(image_size=image_size)
    network = build_empty(spec).eval()
    if fused:
        with torch.device("meta"):
            fuse_norms(network)
    network.to(dtype=dtype)
    image = torch.zeros(batch, 3, *spec.image_size, dtype=dtype, device="meta")
    trace = trace_module(network, image, scale=scale)
    return NetworkCost(
        name=spec.name,
        image_size=spec.image_size,
        batch=batch,
        precision=precision,
        fused=fused,
        parts=_split(trace.layers, spec),
        layers=trace.layers,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        weight_bytes=_state_bytes(network, scale),
        peak_bytes=trace.peak_bytes,
    )


def _state_bytes(network: nn.Module, scale: float) -> int:
    """Bytes of parameters and floating-point buffers."""
    tensors = (*network.parameters(), *network.buffers())
    sizes = (one.numel() * one.element_size() for one in tensors if one.is_floating_point())
    return round(sum(sizes) * scale)


def _split(layers: Iterable[LayerCost], spec: ModelSpec | CfgSpec) -> tuple[PartCost, ...]:
    """Group the layers by part, in order of execution."""
    found: dict[str, list[LayerCost]] = {}
    for layer in layers:
        found.setdefault(part_of(layer.name), []).append(layer)
    parts = (
        PartCost(name, "", name.partition(".")[0], tuple(members))
        for name, members in found.items()
    )
    if isinstance(spec, CfgSpec):
        return _describe_sections(parts, spec)
    return tuple(replace(part, about=_about(part.name, spec)) for part in parts)


def part_of(name: str) -> str:
    """Name of the part that a module belongs to, from its path.

    >>> part_of("backbone.stages.2.down.conv"), part_of("head.classes.hidden.0"), part_of("neck.a")
    ('backbone.stages.2', 'head.classes', 'neck')
    """
    words = name.split(".")
    if words[0] == "layers":
        return ".".join(words[:2])
    if words[0] == "head":
        return ".".join(words[:2]) if words[1:2] in (["classes"], ["boxes"]) else "head"
    if words[0] != "backbone":
        return words[0] or "network"
    if words[1:2] == ["pool"] or (
        words[1:2] == ["network"] and "".join(words[2:3]).startswith(_STEMS)
    ):
        return "backbone.stem"
    if words[1:2] == ["network"]:  # of timm
        return ".".join(words[:4] if words[2:3] and words[2] in _SHELVES else words[:3])
    return ".".join(words[:3] if words[1:2] == ["stages"] else words[:2])


def _about(part: str, spec: ModelSpec) -> str:
    """Description of a part, from the spec."""
    words = part.split(".")
    if words[0] == "neck":
        return f"{spec.neck.kind} × {spec.neck.depth}"
    if words[0] == "head":
        return spec.head.kind
    if words[1:2] == ["stages"] and len(words) > 2 and spec.backbone.stages:
        stage = spec.backbone.stages[int(words[2])]
        return f"{stage.kind} × {stage.depth}"
    return spec.backbone.name or spec.backbone.kind


def _describe_sections(parts: Iterable[PartCost], spec: CfgSpec) -> tuple[PartCost, ...]:
    """Describe the parts of a cfg: section kind and stride of each layer."""
    _, sections = read_sections(spec.cfg, f"{spec.name}.cfg")
    described = []
    for part in parts:
        stride = next((one.stride for one in reversed(part.layers) if one.stride), None)
        group = "no stride" if stride is None else f"stride {stride[0]:g}"
        kind = sections[int(part.name.split(".")[1])].kind
        described.append(replace(part, about=kind, group=group))
    return tuple(described)
