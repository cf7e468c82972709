"""bf16 for OpenVINO: a graph of which some layers are computed in fp32 all the same.

OpenVINO keeps an operation that is marked as precise in fp32, whatever the graph is computed in. It
computes a convolution together with what follows it (bias, activation, the sum with a shortcut), so
the mark goes on over these.

Evidence, Yolo-Fastest-1.1 on 128 images of COCO's val2017: bf16 costs .0035 of AP .1676, and .0018
with 5 of the 84 convolutions in fp32.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...checkpoints import Model
from ...specs.metadata import KEY, Metadata
from .int8_openvino import HEAVY
from .openvino_file import to_openvino, write_openvino
from .quantizable import CalibrationInputs, QuantizableGraph

if TYPE_CHECKING:
    import openvino

PRECISE = "precise_0"  # the mark, as OpenVINO knows it
ACTIVATIONS = ("PRelu", "Mish", "Swish", "HSwish", "Relu", "Clamp", "Sigmoid", "SoftPlus", "Tanh")
POINTWISE = ("Add", "Subtract", "Multiply", *ACTIVATIONS)


def quantizable_bf16(model: Model, metadata: Metadata) -> QuantizableGraph:
    """Make a model's OpenVINO graph ready to have layers given back to fp32.

    Args:
        model: stays as it is.
        metadata: of the graph.
    """
    plain = to_openvino(model, metadata)
    heavy = [one for one in plain.get_ordered_ops() if one.get_type_name() in HEAVY]
    # The first is computed in what pre-processing gives, marked or not.
    layers = tuple(one.get_friendly_name() for one in heavy[1:] if _can_stay(one))

    def write(
        fp32_layers: frozenset[str], _inputs: CalibrationInputs, metadata: Metadata, path: Path
    ) -> None:
        made = plain.clone()
        for operation in made.get_ordered_ops():
            if operation.get_friendly_name() in fp32_layers:
                for one in _computed_together(operation):
                    one.get_rt_info()[PRECISE] = True
        made.set_rt_info(metadata.model_dump_json(), KEY)
        write_openvino(made, path)

    return QuantizableGraph(layers, (), write)


def _can_stay(layer: openvino.Node) -> bool:
    """Whether OpenVINO can compute a layer in fp32 among others in bf16.

    It cannot ("object is not initialized", 2026.4.1) where an activation follows the sum with
    another map, as in a BiFPN.
    """
    sums = [one for one in _computed_together(layer) if _joins(one)]
    return not any(user.get_type_name() in ACTIVATIONS for one in sums for user in _users(one))


def _computed_together(layer: openvino.Node) -> list[openvino.Node]:
    """A layer and the operations that OpenVINO may fuse with it, up to the sum with another map."""
    chain = [layer]
    for one in chain:  # it grows
        if not _joins(one):
            chain += [user for user in _users(one) if user.get_type_name() in POINTWISE]
    return chain


def _joins(operation: openvino.Node) -> bool:
    """Whether several maps come together in it, and no constants."""
    sources = [port.get_source_output().get_node() for port in operation.inputs()]
    return len([one for one in sources if one.get_type_name() != "Constant"]) > 1


def _users(operation: openvino.Node) -> list[openvino.Node]:
    return [port.get_node() for port in operation.output(0).get_target_inputs()]
