"""A model as an OpenVINO graph, made directly from its `torch.export` program."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...checkpoints import Model
from ...io.folders import atomic_files, free_bytes
from ...specs.metadata import KEY, Metadata
from ..files import output_names
from ..formats.format import check_suffix
from ..openvino_engine import import_openvino
from .graph import INPUT, ExportGraph, trace
from .nms_ops import keep_in_openvino

if TYPE_CHECKING:
    import openvino


def to_openvino(model: Model, metadata: Metadata) -> openvino.Model:
    """The model as an OpenVINO graph, its weights in fp32.

    Args:
        model: stays as it is.
        metadata: of this model. Its precision is what an engine is to compute in; of `fp16` the
            weights are rounded when the graph is written.

    Raises:
        MissingPackage: openvino is not installed.
    """
    ov = import_openvino("A graph for OpenVINO")
    from openvino.frontend import ConversionExtension

    extension = ConversionExtension("scantling.keep.default", partial(keep_in_openvino, metadata))
    program = trace(ExportGraph(model, metadata), metadata)
    made = ov.convert_model(program, extension=extension)
    made.reshape({0: ov.PartialShape(_input_shape(metadata))})
    _simplify_pools(made)
    made.set_friendly_name(metadata.spec.name)
    made.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(made.outputs, output_names(metadata), strict=True):
        output.get_tensor().set_names({name})
    _name_in_order(made)
    made.set_rt_info(metadata.model_dump_json(), KEY)
    return made


def write_openvino(graph: openvino.Model, path: Path) -> None:
    """Write an OpenVINO graph as an `.xml` file, and a `.bin` with the weights beside it.

    Args:
        graph: what `to_openvino` made, or the same quantised.
        path: ends in `.xml`; the weights go beside it.

    Raises:
        InvalidExport: the path has another suffix.
        CannotWrite: nothing can be written there.
        MissingPackage: openvino is not installed.
    """
    ov = import_openvino("A graph for OpenVINO")
    metadata = Metadata.model_validate_json(graph.get_rt_info(KEY).astype(str))
    check_suffix(path, ".xml")
    with atomic_files(path, (".bin",)) as draft:  # the old .bin is mapped by whoever reads it
        try:
            ov.save_model(graph, draft, compress_to_fp16=metadata.precision == "fp16")
        except RuntimeError as error:  # that is all it says of a full disk
            free, needed = free_bytes(draft.parent), _bytes_of_weights(graph)
            code = errno.ENOSPC if free is not None and free < needed else errno.EIO
            raise OSError(code, f"OpenVINO cannot write it ({error})") from error


def _bytes_of_weights(graph: openvino.Model) -> int:
    constants = (one for one in graph.get_ops() if one.get_type_name() == "Constant")
    return sum(one.get_byte_size() for one in constants)


def _input_shape(metadata: Metadata) -> list[int]:
    """Of the images, as the metadata has it; -1 for a side that is open."""
    form = metadata.form
    open_ = form.any_size or form.takes == "image"
    height, width = (-1, -1) if open_ else metadata.image_size
    batch = -1 if form.batch is None else form.batch
    return [batch, 3, height, width] if form.takes == "float" else [batch, height, width, 3]


def _simplify_pools(graph: openvino.Model) -> None:
    """Let max-pools be the first version of that operation, which knows no indices of the maxima.

    OpenVINO carries 8-bit features through no other: the convolution behind one would run in float.
    A pool keeps its version where its shape is open, or where its windows begin in the padding.
    """
    from openvino import opset1

    for pool in graph.get_ordered_ops():
        if pool.get_type_name() != "MaxPool" or pool.get_output_size() == 1:
            continue
        told, shape = pool.get_attributes(), pool.get_output_partial_shape(0)
        if set(told["dilations"]) != {1} or pool.output(1).get_target_inputs():
            continue
        sides = ("strides", "pads_begin", "pads_end", "kernel")
        for rounding in ("floor", "ceil"):
            simple = opset1.max_pool(
                pool.input_value(0), *(told[key] for key in sides), rounding, told["auto_pad"]
            )
            if _same_sides(simple.get_output_partial_shape(0), shape):
                pool.output(0).replace(simple.output(0))
                break


def _same_sides(first: openvino.PartialShape, second: openvino.PartialShape) -> bool:
    """Whether two shapes of maps have the same height and width, both known."""
    return all(
        one.is_static and other.is_static and one == other
        for one, other in zip(list(first)[2:], list(second)[2:], strict=True)
    )


def _name_in_order(graph: openvino.Model) -> None:
    """Number the operations: their own names count what this process made before."""
    for place, operation in enumerate(graph.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
