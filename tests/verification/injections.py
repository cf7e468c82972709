"""Files with one mistake each: ONNX graphs, changed after they were exported."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from scantling.checkpoints import Model
from scantling.engines.graphs import make_metadata, to_onnx, write_onnx
from scantling.specs.metadata import KEY, GraphForm, Metadata
from scantling.verification.scenes import draw_scenes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SWAP = np.array([2, 1, 0])
TRANSPOSE = np.array([1, 0, 3, 2])


def spread(model: Model) -> Model:
    """The same fresh model with the statistics of pictures, so that its outputs vary."""
    height, width = model.spec.image_size
    shown = [np.resize(scene, (height, width, 3)) for scene in draw_scenes(4)]
    images = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 255
    network = model.network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            nn.init.uniform_(module.weight, 0.7, 1.4)
            nn.init.normal_(module.bias, std=0.3)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (model.spec.input.mean, model.spec.input.std)
    )
    with torch.no_grad():
        network((images - mean) / std)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.clamp_(min=0.05)
        for module in getattr(network, "head", network).modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                module.weight.mul_(1.5)
    network.eval()
    return model


def export_onnx(model: Model, path: Path, **changes: object) -> Path:
    """A model as ONNX."""
    metadata = make_metadata(model, **changes)
    write_onnx(to_onnx(model, metadata), path)
    return path


def edit_onnx(source: Path, target: Path, edit: Callable[["ModelProto"], None]) -> Path:
    """The same file with a mistake."""
    import onnx

    graph = onnx.load(source)
    edit(graph)
    onnx.save(graph, target)
    return target


def edit_metadata(change: Callable[[dict], None]) -> Callable[["ModelProto"], None]:
    """A mistake in what the file says of itself."""

    def edit(graph: "ModelProto") -> None:
        (entry,) = (entry for entry in graph.metadata_props if entry.key == KEY)
        record = Metadata.model_validate_json(entry.value).model_dump()
        change(record)
        entry.value = Metadata.model_validate(record).model_dump_json()

    return edit


def swap_channels(graph: "ModelProto") -> None:
    _after_input(graph, lambda name, new: _gather(graph, name, new, SWAP, axis=3))


def scale_twice(graph: "ModelProto") -> None:
    _scale(graph, 1 / 255)


def never_scale(graph: "ModelProto") -> None:
    _scale(graph, 255)


def _scale(graph: "ModelProto", factor: float) -> None:
    """Multiply pixels, once they are floating point numbers."""
    cast = next(node for node in graph.graph.node if node.op_type == "Cast")
    constant = _constant(graph, np.float32(factor))
    _insert(graph, cast.output[0], lambda new: [_node("Mul", [cast.output[0], constant], [new])])


def transpose_boxes(graph: "ModelProto") -> None:
    _before_output(graph, "boxes", TRANSPOSE, axis=2)


def centre_boxes(graph: "ModelProto") -> None:
    """Centre and size in place of corners."""
    matrix = np.array(
        [[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]], np.float32
    )
    inner = _rename_output(graph, "boxes")
    graph.graph.node.append(_node("MatMul", [inner, _constant(graph, matrix)], ["boxes"]))


def roll_classes(graph: "ModelProto") -> None:
    classes = len(metadata_of(graph).names)
    _before_output(graph, "scores", np.roll(np.arange(classes), 1), axis=2)


def swap_two_classes(graph: "ModelProto") -> None:
    order = np.arange(len(metadata_of(graph).names))
    order[[0, 2]] = order[[2, 0]]
    _before_output(graph, "scores", order, axis=2)


def other_sizes(graph: "ModelProto") -> None:
    """exp(t) becomes (2σ(t))²."""
    (power,) = (node for node in graph.graph.node if node.op_type == "Exp")
    given, made = power.input[0], power.output[0]
    place = list(graph.graph.node).index(power)
    graph.graph.node.remove(power)
    two = _constant(graph, np.float32(2))
    for offset, node in enumerate(
        [
            _node("Sigmoid", [given], [made + "_s"]),
            _node("Mul", [made + "_s", two], [made + "_d"]),
            _node("Mul", [made + "_d", made + "_d"], [made]),
        ]
    ):
        graph.graph.node.insert(place + offset, node)


def metadata_of(graph: "ModelProto") -> Metadata:
    (entry,) = (entry for entry in graph.metadata_props if entry.key == KEY)
    return Metadata.model_validate_json(entry.value)


def stretch(record: dict) -> None:
    record["spec"]["input"]["resize_mode"] = "stretch"


def shuffle_names(record: dict) -> None:
    names = list(record["names"])
    record["names"] = tuple(np.random.default_rng(0).permutation(names).tolist())


def other_coding(record: dict) -> None:
    for level in record["levels"]:
        level["box_coding"] = "sigmoid" if level["box_coding"] == "exponential" else "exponential"


def _node(kind: str, inputs: list[str], outputs: list[str], **settings: int) -> "NodeProto":
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **settings)


def _constant(graph: "ModelProto", value: np.ndarray) -> str:
    name = f"injected_{len(graph.graph.initializer)}"
    from onnx import numpy_helper

    graph.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _gather(graph: "ModelProto", name: str, new: str, order: np.ndarray, *, axis: int) -> list:
    indices = _constant(graph, order.astype(np.int64))
    return [_node("Gather", [name, indices], [new], axis=axis)]


def _after_input(graph: "ModelProto", make: Callable[[str, str], list]) -> None:
    _insert(graph, "images", lambda new: make("images", new))


def _insert(graph: "ModelProto", tensor: str, make: Callable[[str], list]) -> None:
    """Something between a tensor and all that read it."""
    new = f"{tensor}_changed"
    place = 0
    for index, node in enumerate(graph.graph.node):
        if tensor in node.output:
            place = index + 1
        for slot, name in enumerate(node.input):
            if name == tensor:
                node.input[slot] = new
    for offset, node in enumerate(make(new)):
        graph.graph.node.insert(place + offset, node)


def _rename_output(graph: "ModelProto", name: str) -> str:
    inner = f"{name}_right"
    for node in graph.graph.node:
        for slot, one in enumerate(node.output):
            if one == name:
                node.output[slot] = inner
        for slot, one in enumerate(node.input):
            if one == name:
                node.input[slot] = inner
    return inner


def _before_output(graph: "ModelProto", name: str, order: np.ndarray, *, axis: int) -> None:
    inner = _rename_output(graph, name)
    indices = _constant(graph, order.astype(np.int64))
    graph.graph.node.append(_node("Gather", [inner, indices], [name], axis=axis))


RAW = GraphForm(gives="raw")
