"""INT8 for OpenVINO, by NNCF: 8-bit weights by output channel, 8-bit features.

NNCF's own settings but for one: features get a zero of their own where they have both signs, which
is most of them behind a leaky ReLU. Evidence: yolov4-tiny@416 on 64 images of COCO's val2017,
ranges from 64 others, loses .0084 of AP .2766, and .0124 without.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checkpoints import Model
from ...errors import MissingPackage
from ...specs.metadata import KEY, Metadata
from ..openvino_engine import keep_signal_stack, without_telemetry
from .openvino_file import to_openvino, write_openvino
from .quantizable import CalibrationInputs, Progress, QuantizableGraph

if TYPE_CHECKING:
    import openvino

HEAVY = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
NEVER = ("Constant", "Parameter", "Result")


def quantizable_openvino(model: Model, metadata: Metadata, progress: Progress) -> QuantizableGraph:
    """Make a model's OpenVINO graph ready to be quantised.

    Args:
        model: stays as it is.
        metadata: of the graph.
        progress: told how many images have been seen, and of how many.

    Raises:
        MissingPackage: nncf is not installed.
    """
    plain = to_openvino(model, metadata)
    outside = _outside(plain)
    layers = tuple(
        operation.get_friendly_name()
        for operation in plain.get_ordered_ops()
        if operation.get_type_name() in HEAVY
    )

    @lru_cache(maxsize=1)  # the one that is chosen is the last that was tried
    def quantise(fp32_layers: frozenset[str], inputs: CalibrationInputs) -> openvino.Model:
        return _quantise(plain, [*outside, *sorted(fp32_layers)], _WithProgress(inputs, progress))

    def write(
        fp32_layers: frozenset[str], inputs: CalibrationInputs, metadata: Metadata, path: Path
    ) -> None:
        made = plain.clone() if fp32_layers >= set(layers) else quantise(fp32_layers, inputs)
        made.set_rt_info(metadata.model_dump_json(), KEY)
        write_openvino(made, path)

    return QuantizableGraph(layers, (), write)


def _quantise(plain: openvino.Model, ignored: list[str], inputs: _WithProgress) -> openvino.Model:
    """A copy in 8 bits, except for the operations of these names, biases corrected."""
    with _quiet(), keep_signal_stack():
        try:
            with without_telemetry():
                import nncf
        except ImportError as error:
            raise MissingPackage("nncf", "INT8 for OpenVINO", extra="openvino") from error
        made: openvino.Model = nncf.quantize(
            plain.clone(),
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )
    return made


class _WithProgress:
    """Calibration inputs that report progress as they are iterated."""

    def __init__(self, inputs: CalibrationInputs, progress: Progress) -> None:
        self.inputs = inputs
        self.progress = progress

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Any]:
        for done, feed in enumerate(self.inputs, start=1):
            yield feed
            self.progress(done, len(self.inputs))


def _outside(graph: openvino.Model) -> list[str]:
    """Names of the operations in front of the first convolutions and behind the last."""
    after, before = dict[str, bool](), dict[str, bool]()
    operations = graph.get_ordered_ops()
    for one in operations:
        sources = [port.get_source_output().get_node() for port in one.inputs()]
        after[one.get_friendly_name()] = any(
            source.get_type_name() in HEAVY or after[source.get_friendly_name()]
            for source in sources
        )
    for one in reversed(operations):
        users = [port.get_node() for output in one.outputs() for port in output.get_target_inputs()]
        before[one.get_friendly_name()] = any(
            user.get_type_name() in HEAVY or before[user.get_friendly_name()] for user in users
        )
    return [
        one.get_friendly_name()
        for one in operations
        if one.get_type_name() not in (*HEAVY, *NEVER)
        and not (after[one.get_friendly_name()] and before[one.get_friendly_name()])
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """NNCF lists every operation that it leaves as it is, draws bars of its own, and imports a part
    of torch that warns of CUDA where there is none.
    """
    loggers = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
