"""Layer costs of every candidate architecture, counted once and stored in `candidates.npz`.

Counting a network takes a second, so a search of hundreds would take minutes. `python
docs/candidates.py` counts anew; a test holds the file against networks that are built then.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...checkpoints.model import build_empty
from ...errors import lookup
from ...heads import HEADS
from ...io import atomic_write
from ...specs import ModelSpec
from ..costs import LayerCost, NetworkCost, count_costs

PATH = Path(__file__).with_name("candidates.npz")
REFERENCE_GRID = 4  # cells along a side of the coarsest level, of the size that is counted at
# Of a layer, what follows from its place in the network and is not kept.
_DROPPED = frozenset(("name", "live_bytes", "receptive_field", "stride", "sees_all", "reads_image"))


@dataclass(frozen=True)
class ArchitectureCost:
    """Cost of an architecture at its reference size.

    Args:
        cost: norms folded, batch 1, fp32. Its layers have neither field nor live bytes.
        parameters: numbers that training changes, norms included.
        receptive_field: pixels along a side that a cell of the coarsest level sees.
    """

    cost: NetworkCost
    parameters: int
    receptive_field: int


def reference_size(spec: ModelSpec) -> int:
    """Image side at which an architecture is counted."""
    return REFERENCE_GRID * spec.size_step


def key_of(spec: ModelSpec) -> str:
    """Hash of an architecture: its spec without name, image size, anchor sizes and input."""
    fields = spec.model_dump(mode="json", exclude={"name", "image_size", "input", "nms"})
    fields["head"]["anchors"] = [len(group) for group in spec.head.anchors]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def count_architecture(spec: ModelSpec) -> ArchitectureCost:
    """Count an architecture at its reference size."""
    cost = count_costs(spec, image_size=reference_size(spec), fused=True)
    fields = [(one.stride or (0, 0), one.receptive_field or (0, 0)) for one in cost.layers]
    coarsest = max(stride for stride, _ in fields)
    return ArchitectureCost(
        replace(cost, layers=tuple(map(_bare, cost.layers)), parts=()),
        parameters=sum(one.numel() for one in build_empty(spec).parameters()),
        receptive_field=max(min(seen) for stride, seen in fields if stride == coarsest),
    )


def write_table(specs: Iterable[ModelSpec], path: Path = PATH) -> None:
    """Count architectures and write their costs to a file."""
    layers: dict[str, int] = {}
    names: dict[str, int] = {}
    heads: list[dict[str, Any]] = []
    places: list[tuple[int, int]] = []
    for spec in specs:
        one = count_architecture(spec)
        heads.append(
            {
                "key": key_of(spec),
                "name": spec.name,
                "size": one.cost.image_size[0],
                "layers": len(one.cost.layers),
                "fused": one.cost.parameters,
                "weight_bytes": one.cost.weight_bytes,
                "peak_bytes": one.cost.peak_bytes,
                "parameters": one.parameters,
                "receptive_field": one.receptive_field,
            }
        )
        for layer in one.cost.layers:
            fields = {key: value for key, value in asdict(layer).items() if key not in _DROPPED}
            text = json.dumps(fields)
            places.append(
                (layers.setdefault(text, len(layers)), names.setdefault(layer.name, len(names)))
            )
    with atomic_write(path) as part:
        np.savez_compressed(
            part,
            places=np.array(places, np.uint16).T,
            layers=_as_bytes([*layers]),
            names=_as_bytes([*names]),
            architectures=_as_bytes(heads),
        )


def _as_bytes(value: object) -> NDArray[np.uint8]:
    """Encode plain values as JSON bytes, which load without pickle."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


@cache
def read_table(path: Path = PATH) -> Mapping[str, ArchitectureCost]:
    """Read the cost of every architecture, by `key_of`."""
    with np.load(path, allow_pickle=False) as file:
        layers, names, heads = (
            json.loads(file[key].tobytes()) for key in ("layers", "names", "architectures")
        )
        layer_places, name_places = file["places"].tolist()
    bare = [_layer(json.loads(text)) for text in layers]
    found: dict[str, ArchitectureCost] = {}
    start = 0
    for head in heads:
        end = start + head["layers"]
        own = zip(layer_places[start:end], name_places[start:end], strict=True)
        cost = NetworkCost(
            name=head["name"],
            image_size=(head["size"], head["size"]),
            batch=1,
            precision="fp32",
            fused=True,
            parts=(),
            layers=tuple(replace(bare[layer], name=names[name]) for layer, name in own),
            parameters=head["fused"],
            weight_bytes=head["weight_bytes"],
            peak_bytes=head["peak_bytes"],
        )
        found[head["key"]] = ArchitectureCost(cost, head["parameters"], head["receptive_field"])
        start = end
    return found


def with_classes(cost: NetworkCost, spec: ModelSpec, classes: int) -> NetworkCost:
    """Adapt the cost of a network to another number of classes.

    Args:
        cost: of the spec.
        spec: says for how many classes it was counted.
        classes: wanted.
    """
    if classes == spec.num_classes:
        return cost
    rows = _class_rows(spec)
    layers, changed = [], {}
    for one in cost.layers:
        if one.name in rows and one.kind == "convolution":
            anchors, first = rows[one.name]
            old, new = anchors * (first + spec.num_classes), anchors * (first + classes)
            wider = _with_outputs(one, old, new)
            changed[one.name] = wider.weight_bytes - one.weight_bytes  # once, if levels share it
            one = wider
        layers.append(one)
    more = sum(changed.values())
    return replace(
        cost,
        layers=tuple(layers),
        parameters=cost.parameters + more // 4,
        weight_bytes=cost.weight_bytes + more,
    )


def _class_rows(spec: ModelSpec) -> dict[str, tuple[int, int]]:
    """Anchors, and values in front of the classes of each, by the name of every convolution."""
    with torch.device("meta"):
        head = lookup(HEADS, spec.head.kind, "head").build(
            (8,) * len(spec.strides), spec.strides, spec.head, spec.num_classes
        )
    names = {module: f"head.{name}" for name, module in head.named_modules()}
    return {names[one.convolution]: (one.anchors, one.first) for one in head.class_rows()}


def _with_outputs(layer: LayerCost, old: int, new: int) -> LayerCost:
    """Cost of a dense convolution with another number of output channels."""
    shape = (layer.shape[0], new, *layer.shape[2:])
    cells = layer.shape[2] * layer.shape[3]
    return replace(
        layer,
        shape=shape,
        parameters=layer.parameters * new // old,
        macs=layer.macs * new // old,
        access=layer.access + (new - old) * (cells + layer.channel_product // old),
        cio=layer.cio + (new - old) * cells,
        channel_product=layer.channel_product * new // old,
        weight_bytes=layer.weight_bytes * new // old,
        activation_bytes=layer.activation_bytes + 4 * (new - old) * cells,
    )


def _layer(fields: dict[str, Any]) -> LayerCost:
    pairs = {
        key: None if fields[key] is None else (fields[key][0], fields[key][1])
        for key in ("kernel", "kernel_stride")
    }
    given = {**fields, **pairs}
    given["inputs"] = tuple(map(tuple, fields["inputs"]))
    given["shape"] = tuple(fields["shape"])
    return _bare(
        LayerCost(
            **given,
            name="",
            live_bytes=0,
            receptive_field=None,
            stride=None,
            sees_all=False,
            reads_image=False,
        )
    )


def _bare(layer: LayerCost) -> LayerCost:
    """Layer cost without the fields that depend on its place in the network."""
    return replace(
        layer, live_bytes=0, receptive_field=None, stride=None, sees_all=False, reads_image=False
    )
