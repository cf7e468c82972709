"""Graphs with one mistake each in any format: made from a changed model, its metadata right."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from scantling.checkpoints import Model
from scantling.engines.graphs import make_metadata, to_onnx, to_openvino, write_onnx, write_openvino
from scantling.specs.metadata import KEY, Metadata

Change = Callable[[Model, Metadata], tuple[Model, Metadata]]


def export(model: Model, path: Path, **changes: object) -> Path:
    """A right file, of the format that its suffix says."""
    return write_wrong(model, path, **changes)


def write_wrong(model: Model, path: Path, change: Change | None = None, **changes: object) -> Path:
    """A file of a changed model, whose metadata says that it is the model itself."""
    metadata = make_metadata(model, **changes)
    made, used = (model, metadata) if change is None else change(model, metadata)
    told = metadata.model_dump_json()
    if path.suffix == ".xml":
        graph = to_openvino(made, used)
        graph.set_rt_info(told, KEY)
        write_openvino(graph, path)
    else:
        proto = to_onnx(made, used)
        (entry,) = (entry for entry in proto.metadata_props if entry.key == KEY)
        entry.value = told
        write_onnx(proto, path)
    return path


def _with_network(model: Model, edit: Callable[[nn.Module], None]) -> Model:
    network = deepcopy(model.network)
    with torch.no_grad():
        edit(network)
    return replace(model, network=network)


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def swapped_channels(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    def edit(network: nn.Module) -> None:
        weight = _convolutions(network)[0].weight
        weight.copy_(weight[:, [2, 1, 0]].clone())

    return _with_network(model, edit), metadata


def scaled_twice(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    return _with_network(
        model, lambda network: _convolutions(network)[0].weight.div_(255)
    ), metadata


def _rows(model: Model, edit: Callable[[torch.Tensor], torch.Tensor]) -> Model:
    """A YOLO network whose last convolutions say something else: (anchors, 5 + K, …) → the same."""
    classes = len(model.names)

    def change(network: nn.Module) -> None:
        for conv in _convolutions(network):
            if conv.out_channels == 3 * (5 + classes) and conv.bias is not None:
                for values in (conv.weight, conv.bias):
                    grouped = values.reshape(3, 5 + classes, *values.shape[1:])
                    values.copy_(edit(grouped.clone()).reshape(values.shape))

    return _with_network(model, change)


def transposed_boxes(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    def edit(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows[:, [1, 0, 3, 2]], rows[:, 4:]], 1)

    return _rows(model, edit), metadata


def rolled_classes(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    def edit(rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows[:, :5], rows[:, 5:].roll(1, 1)], 1)

    return _rows(model, edit), metadata


def other_decoding(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    def change(network: nn.Module) -> None:
        owner = getattr(network, "head", network)  # a cfg's network owns its levels itself
        owner.levels = tuple(level.replace(box_coding="sigmoid") for level in owner.levels)

    return _with_network(model, change), metadata


def older_weights(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    return disturbed(model), metadata


def stretched(model: Model, metadata: Metadata) -> tuple[Model, Metadata]:
    """Of a graph that fits images itself: it stretches them."""
    spec = model.spec.replace(input=model.spec.input.replace(resize_mode="stretch"))
    return replace(model, spec=spec), metadata.model_copy(update={"spec": spec})


def disturbed(model: Model, *, share: float = 0.05) -> Model:
    """The same network some training steps away."""
    torch.manual_seed(0)

    def edit(network: nn.Module) -> None:
        for parameter in network.parameters():
            if parameter.numel() > 1:
                parameter.add_(share * parameter.std() * torch.randn_like(parameter))

    return _with_network(model, edit)
