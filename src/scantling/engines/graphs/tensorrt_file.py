"""A model as a TensorRT engine, built from its ONNX graph on the GPU that is to run it."""

from __future__ import annotations

from typing import Any

from ...checkpoints import Model
from ...errors import InvalidExport, MissingPackage
from ...specs.metadata import Metadata
from .onnx_file import to_onnx

LARGEST_BATCH, USUAL_BATCH = 32, 8  # of a graph that takes any number of images
MEMORY = 4 << 30  # bytes that a layer may use while it works
OLDEST = 10  # version


def build_plan(model: Model, metadata: Metadata) -> bytes:
    """Build an engine, as bytes that TensorRT reads on this GPU.

    Args:
        model: stays as it is.
        metadata: of this model, in `fp32` or `fp16`.

    Raises:
        InvalidExport: there is no GPU, TensorRT is older than 10, or it cannot build the graph.
        MissingPackage: tensorrt is not installed.
    """
    try:
        import tensorrt as trt
    except ImportError as error:
        raise MissingPackage("tensorrt", "An export to tensorrt") from error
    _check_machine(trt, metadata)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    # the graph itself says what is computed in half precision, and decoding is not
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(to_onnx(model, metadata).SerializeToString()):
        problems = "; ".join(str(parser.get_error(place)) for place in range(parser.num_errors))
        raise InvalidExport(metadata.source, f"TensorRT cannot read the graph: {problems}", _ELSE)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, MEMORY)
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 is to be fp32
    _add_profile(builder, config, metadata)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InvalidExport(metadata.source, "TensorRT built no engine of the graph", _ELSE)
    return bytes(plan)


_ELSE = "Export to onnx instead, which ONNX Runtime can give to TensorRT"


def _check_machine(trt: Any, metadata: Metadata) -> None:
    import torch

    if not torch.cuda.is_available():
        raise InvalidExport(
            metadata.source,
            "a TensorRT engine is built on the GPU that is to run it, and there is none here",
            "Run the export there, or export to onnx",
        )
    if int(trt.__version__.split(".")[0]) < OLDEST:
        raise InvalidExport(
            metadata.source,
            f"TensorRT {trt.__version__} is too old",
            f"Install TensorRT {OLDEST} or later",
        )


def _add_profile(builder: Any, config: Any, metadata: Metadata) -> None:
    """Say which shapes the engine has to take, where they are open."""
    form = metadata.form
    if form.batch is not None and not form.any_size and form.takes != "image":
        return
    height, width = metadata.image_size
    stride = metadata.size_divisor
    batches = (form.batch,) * 3 if form.batch is not None else (1, USUAL_BATCH, LARGEST_BATCH)
    sizes = [(height, width)] * 3
    if form.any_size:
        sizes = [(stride, stride), (height, width), (2 * height, 2 * width)]
    if form.takes == "image":
        sizes = [(1, 1), (480, 640), (4320, 7680)]
    shapes = [
        (batch, 3, *size) if form.takes == "float" else (batch, *size, 3)
        for batch, size in zip(batches, sizes, strict=True)
    ]
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *shapes)
    config.add_optimization_profile(profile)
