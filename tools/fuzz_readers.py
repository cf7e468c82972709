"""The readers that fuzz.py gives damaged files to: a row of `READERS` each.

A row has valid files, made when they are needed, and a function that reads a path. It imports what
it needs itself, so that a process loads only what its own reader uses.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scantling.specs.metadata import Metadata

from fuzz_data import DATA_SETS
from fuzz_models import MODELS


@dataclass(frozen=True)
class Reader:
    """A reader of untrusted input.

    Args:
        suffix: of its files.
        make_valid: makes valid files, as bytes. Files that have to lie beside one are written into
            the folder it is given, where each input is called `input` and the suffix.
        read: reads a path; it may raise `ScantlingError`.
    """

    suffix: str
    make_valid: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]


def make_metadata(name: str = "yolov4-tiny", **changes: object) -> str:
    """The metadata of an exported file, as JSON."""
    from scantling.specs import CATALOG
    from scantling.specs.metadata import Metadata

    spec = CATALOG[name]
    metadata = Metadata(
        kind="model",
        spec=spec,
        names=tuple(f"class {label}" for label in range(spec.num_classes)),
        image_size=(64, 64),
        size_divisor=32,
        levels=spec.levels,
        source=name,
        fingerprint="0" * 64,
        producer="fuzz",
    )
    return json.dumps(json.loads(metadata.model_dump_json()) | changes)


def make_onnx(_: Path) -> list[bytes]:
    """A graph of few nodes: boxes and scores of sixteen places."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    arrays = {
        "scale": np.float32(1 / 255),
        "weight": random.normal(0, 0.1, (84, 3, 3, 3)).astype("float32"),
        "bias": np.zeros(84, "float32"),
        "shape": np.array([1, 84, 16]),
        "sides": np.array([4, 80]),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["maps"], strides=[16, 16]),
        helper.make_node("Reshape", ["maps", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Split", ["rows", "sides"], ["boxes", "scores"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "fuzz",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [1, 64, 64, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 16, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 16, 80]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="scantling", value=make_metadata())
    return [model.SerializeToString()]


def make_openvino(folder: Path) -> list[bytes]:
    """The same as an OpenVINO graph; its weights go into the folder."""
    import openvino

    (folder / "valid.onnx").write_bytes(make_onnx(folder)[0])
    graph = openvino.convert_model(folder / "valid.onnx")
    graph.set_rt_info(make_metadata(), "scantling")
    openvino.save_model(graph, folder / "input.xml", compress_to_fp16=False)
    return [(folder / "input.xml").read_bytes()]


def make_engine(_: Path) -> list[bytes]:
    """The metadata in front of a plan of TensorRT, without the plan."""
    from scantling.engines.formats.tensorrt import engine_header
    from scantling.specs.metadata import Metadata

    return [engine_header(Metadata.model_validate_json(make_metadata())) + bytes(64)]


def read_exported(path: Path) -> "Metadata":
    """The metadata of an exported file."""
    from scantling.engines import read_metadata

    return read_metadata(path)


def read_onnx(path: Path) -> None:
    """An ONNX file; what is read has to be what onnx's own parser finds in it."""
    import onnx
    from google.protobuf.message import DecodeError

    from scantling.specs.metadata import Metadata

    metadata = read_exported(path)
    try:
        model = onnx.load_from_string(path.read_bytes())
    except DecodeError:
        return  # so does the runtime
    (entry,) = (one for one in model.metadata_props if one.key == "scantling")
    assert Metadata.model_validate_json(entry.value) == metadata
    assert not model.functions
    assert not model.training_info
    assert not model.graph.sparse_initializer
    attributes = [one for node in model.graph.node for one in node.attribute]
    tensors = [*model.graph.initializer, *(one.t for one in attributes)]
    assert not any(one.external_data or one.data_location for one in tensors)
    assert not any(one.HasField("g") or one.graphs for one in attributes)
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in model.graph.node}


def read_openvino(path: Path) -> None:
    """An OpenVINO file; what is read has to be what OpenVINO finds in it."""
    import openvino

    from scantling.engines.files import parse_metadata

    metadata = read_exported(path)
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError:
        return
    assert parse_metadata(model.get_rt_info("scantling").astype(str), str(path)) == metadata
    kinds = {one.get_type_name() for one in model.get_ops()}
    assert not {"If", "Loop", "TensorIterator"} & kinds


def run_exported(path: Path, engine: str) -> None:
    """An exported file, opened and run on an image."""
    import numpy as np

    from scantling.engines import EngineSettings, open_engine

    opened = open_engine(path, EngineSettings(engine=engine, threads=1, cache=path.parent))
    height, width = opened.image_size
    opened(np.zeros((1, height, width, 3), np.uint8))
    opened.close()


READERS: dict[str, Reader] = {
    "onnx": Reader(".onnx", make_onnx, read_onnx),
    "onnxruntime": Reader(".onnx", make_onnx, partial(run_exported, engine="onnxruntime")),
    "openvino": Reader(".xml", make_openvino, read_openvino),
    "openvino-run": Reader(".xml", make_openvino, partial(run_exported, engine="openvino")),
    "tensorrt": Reader(".engine", make_engine, read_exported),
    **{name: Reader(*row) for name, row in (MODELS | DATA_SETS).items()},
}
