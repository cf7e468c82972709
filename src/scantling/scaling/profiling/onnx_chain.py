"""Build a chain as an ONNX graph, in the form that `engines.graphs` exports, and run it.

OpenVINO and TensorRT read it too: after their own rewriting nothing is left of where it came from.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines.onnxruntime_engine import choose_providers, session_options
from ...engines.openvino_engine import import_openvino, keep_signal_stack
from ...errors import InvalidValue, MissingPackage
from .chain import CELL_ANCHORS, OFFSET_ANCHORS, Chain, ChainStep

OPSET = 18
IR_VERSION = 10
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_DIRECT: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("LeakyRelu", {"alpha": 0.1}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "add": ("Add", {}),
    "scale": ("Mul", {}),
    "concat": ("Concat", {"axis": 1}),
}
_noise: NDArray[np.float32] = np.random.default_rng(0).standard_normal(1 << 22).astype(np.float32)


class GraphWriter:
    """Collects the nodes and constants of an ONNX graph.

    Args:
        chain: to be written.
        mish: `op` or `sigmoid`, as in `graphs.to_onnx`.
    """

    def __init__(self, chain: Chain, *, mish: str) -> None:
        self.helper, self.numpy_helper, self.types = _import_onnx()
        self.chain = chain
        self.mish = mish
        self.shapes = chain.shapes()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Add a constant; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(self.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def write(self) -> bytes:
        """Serialise the graph as an ONNX model."""
        values: list[str] = []
        for place, step in enumerate(self.chain.steps):
            given = [values[source] for source in step.inputs]
            values.append(self._step(place, step, given))
        helper, types = self.helper, self.types
        channels, rows, columns = self.chain.size
        is_image = self.chain.steps[0].kind == "image"
        shape = [1, rows, columns, channels] if is_image else [1, channels, rows, columns]
        kind = types.UINT8 if is_image else types.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "chain",
            [helper.make_tensor_value_info("images", kind, shape)],
            [
                helper.make_tensor_value_info(name, types.FLOAT, None)
                for place in self.chain.outputs
                for name in values[place].split()
            ],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        content: bytes = made.SerializeToString()
        return content

    def _step(self, place: int, step: ChainStep, given: list[str]) -> str:
        if step.kind in _DIRECT:
            operation, attributes = _DIRECT[step.kind]
            return self.node(operation, *given, **attributes)
        made: str = getattr(self, f"_{step.kind}")(place, step, given)
        return made

    def _map(self, _place: int, _step: ChainStep, _given: list[str]) -> str:
        return "images"

    def _image(self, _place: int, _step: ChainStep, _given: list[str]) -> str:
        planes = self.node("Transpose", "images", perm=[0, 3, 1, 2])
        numbers = self.node("Cast", planes, to=self.types.FLOAT)
        return self.node("Div", numbers, self.constant(np.full((3, 1, 1), 255.0)))

    def _conv(self, _place: int, step: ChainStep, given: list[str]) -> str:
        entering = self.shapes[step.inputs[0]][0] // step.groups
        shape = (step.width, entering, step.kernel, step.kernel)
        scale = (2 / (entering * step.kernel**2)) ** 0.5
        half = step.kernel // 2
        pads = [half - 1, half - 1, half, half] if step.odd else [half] * 4
        return self.node(
            "Conv",
            given[0],
            self.constant(_random(shape) * np.float32(scale)),
            self.constant(np.zeros(step.width)),
            kernel_shape=[step.kernel] * 2,
            strides=[step.stride] * 2,
            group=step.groups,
            pads=pads,
        )

    def _silu(self, _place: int, _step: ChainStep, given: list[str]) -> str:
        return self.node("Mul", given[0], self.node("Sigmoid", given[0]))

    def _mish(self, _place: int, _step: ChainStep, given: list[str]) -> str:
        x = given[0]
        if self.mish == "op":
            return self.node("Mish", x)
        q = self.node("Sigmoid", self.node("Neg", x))
        square = self.node("Mul", q, q)
        one = self.constant(1.0)
        upper, lower = self.node("Sub", one, square), self.node("Add", square, one)
        return self.node("Mul", x, self.node("Div", upper, lower))

    def _weighted(self, _place: int, _step: ChainStep, given: list[str]) -> str:
        total = self.node("Mul", given[0], self.constant(0.5))
        for x in given[1:]:
            total = self.node("Add", total, self.node("Mul", x, self.constant(0.5)))
        return total

    def _half(self, place: int, _step: ChainStep, given: list[str]) -> str:
        half = self.shapes[place][0]
        return self._slice(given[0], half, 2 * half, axis=1)

    def _mean(self, _place: int, _step: ChainStep, given: list[str]) -> str:
        return self.node("ReduceMean", given[0], self.constant([2, 3], np.int64), keepdims=1)

    def _pool(self, _place: int, step: ChainStep, given: list[str]) -> str:
        pads = [step.kernel // 2 if step.kernel % 2 else 0] * 4
        kernel, strides = [step.kernel] * 2, [step.stride] * 2
        return self.node("MaxPool", given[0], kernel_shape=kernel, strides=strides, pads=pads)

    def _resize(self, place: int, _step: ChainStep, given: list[str]) -> str:
        return self.node(
            "Resize",
            given[0],
            "",
            "",
            self.constant([1, *self.shapes[place]], np.int64),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def _cells(self, _place: int, step: ChainStep, given: list[str]) -> str:
        values, rows = 5 + step.width, []
        for x, source in zip(given, step.inputs, strict=True):
            cells = self.shapes[source][1] * self.shapes[source][2]
            x = self._reshape(x, [1, CELL_ANCHORS, values, cells])
            x = self.node("Transpose", x, perm=[0, 1, 3, 2])
            rows.append(self._reshape(x, [1, CELL_ANCHORS * cells, values]))
        x = self.node("Concat", *rows, axis=1)
        sure = self.node("Sigmoid", self._slice(x, 4, 5))
        places = self.constant(np.zeros((1, 2)))
        centre = self.node("Add", self.node("Sigmoid", self._slice(x, 0, 2)), places)
        half = self.node("Mul", self.node("Exp", self._slice(x, 2, 4)), self.constant([[2, 2]]))
        scores = self.node("Mul", self.node("Sigmoid", self._slice(x, 5, values)), sure)
        return f"{self._edges(centre, half)} {scores}"

    def _offsets(self, _place: int, step: ChainStep, given: list[str]) -> str:
        count = len(given) // 2
        joined = []
        for part, values in ((slice(0, count), step.width), (slice(count, None), 4)):
            rows = []
            for x, source in zip(given[part], step.inputs[part], strict=True):
                cells = self.shapes[source][1] * self.shapes[source][2]
                x = self.node("Transpose", x, perm=[0, 2, 3, 1])
                rows.append(self._reshape(x, [1, cells * OFFSET_ANCHORS, values]))
            joined.append(self.node("Concat", *rows, axis=1))
        logits, x = joined
        sizes = self.constant([[2, 2]])
        centre = self.node("Mul", self._slice(x, 0, 2), sizes)
        half = self.node("Mul", self.node("Exp", self._slice(x, 2, 4)), sizes)
        return f"{self._edges(centre, half)} {self.node('Sigmoid', logits)}"

    def _edges(self, centre: str, half: str) -> str:
        edges = self.node("Sub", centre, half), self.node("Add", centre, half)
        return self.node("Concat", *edges, axis=-1)

    def _reshape(self, x: str, shape: list[int]) -> str:
        return self.node("Reshape", x, self.constant(shape, np.int64))

    def _slice(self, x: str, first: int, last: int, *, axis: int = 2) -> str:
        ends = (self.constant([value], np.int64) for value in (first, last, axis))
        return self.node("Slice", x, *ends)


def run_in_onnxruntime(
    chain: Chain, *, device: str, threads: int, tensorrt: str | None = None
) -> Callable[[], Any]:
    """Return a function that runs the chain once in ONNX Runtime.

    Args:
        chain: to be run.
        device: `cpu` or `cuda`.
        threads: of the processor.
        tensorrt: the precision, if it is to go through TensorRT; None without.

    Raises:
        InvalidValue: this ONNX Runtime has no GPU, or no TensorRT.
    """
    import onnxruntime

    providers, _ = choose_providers(
        device, onnxruntime.get_available_providers(), tensorrt=tensorrt is not None
    )
    if tensorrt in ("fp16", "bf16"):
        name, settings = providers[0]
        providers[0] = (name, {**settings, f"trt_{tensorrt}_enable": True})
    content = GraphWriter(chain, mish="sigmoid").write()
    session = onnxruntime.InferenceSession(content, session_options(threads), providers=providers)
    given = {"images": _example(chain)}
    return lambda: session.run(None, given)


def run_in_openvino(chain: Chain, *, precision: str, threads: int) -> Callable[[], Any]:
    """Return a function that runs the chain once in OpenVINO."""
    openvino = import_openvino("A chain in OpenVINO")
    properties = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
    }
    core = openvino.Core()
    model = core.read_model(GraphWriter(chain, mish="op").write())
    with keep_signal_stack():
        request = core.compile_model(model, "CPU", properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(_example(chain)))

    def run() -> None:
        request.start_async()
        request.wait()

    return run


def _example(chain: Chain) -> NDArray[Any]:
    """Random input of a chain."""
    channels, rows, columns = chain.size
    if chain.steps[0].kind == "image":
        return np.full((1, rows, columns, channels), 114, np.uint8)
    return _random((1, channels, rows, columns)).copy()


def _random(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Random normal values; latency does not depend on them."""
    return np.resize(_noise, shape)


def _import_onnx() -> tuple[Any, Any, Any]:
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingPackage(
            "onnx", "Measuring an engine other than torch", extra="onnx"
        ) from error
    return helper, numpy_helper, TensorProto


def check_precision(precision: str) -> None:
    """Raise for a precision that chains cannot be measured in.

    Raises:
        InvalidValue: it is none of `HINTS`.
    """
    if precision not in HINTS:
        raise InvalidValue("precision", precision, f"one of {', '.join(HINTS)}")
