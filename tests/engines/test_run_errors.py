"""What goes wrong while a file or a network is run is an error of it; memory has a bound."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scantling.checkpoints import Model, load_model
from scantling.engines import EngineSettings, open_engine, torch_engine
from scantling.engines.file_engine import short_reason
from scantling.engines.torch_engine import TorchEngine, count_map_bytes
from scantling.errors import InvalidExport, NotEnoughMemory
from small_models import write_model

pytestmark = pytest.mark.needs("onnx")
TOOLS = Path(__file__).parents[2] / "tools"
IMAGES = np.zeros((1, 64, 64, 3), np.uint8)
RUNTIMES = ("onnxruntime", "openvino")


def make_onnx(folder: Path) -> bytes:
    """A valid file of a small graph, as the damaged files of `tools/fuzz.py` are made of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOLS)
        made: bytes = runpy.run_path(str(TOOLS / "fuzz_readers.py"))["make_onnx"](folder)[0]
    return made


def changed(path: Path, nodes: list[Any], **arrays: list[int]) -> Path:
    """A file of a small graph whose image goes through nodes first, from `images` to `other`."""
    import onnx

    graph = onnx.load_from_string(make_onnx(path.parent))
    for node in graph.graph.node:
        node.input[:] = ["other" if name == "images" else name for name in node.input]
    for name, values in arrays.items():
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values), name))
    for node in reversed(nodes):
        graph.graph.node.insert(0, node)
    onnx.save(graph, path)
    return path


def fails_when_run(path: Path) -> Path:
    """The sides of a reshape are only known when it is run, and do not fit."""
    import onnx

    node = onnx.helper.make_node
    nodes = [
        node("ReduceMax", ["images"], ["zero"], keepdims=0),
        node("Cast", ["zero"], ["whole"], to=onnx.TensorProto.INT64),
        node("Add", ["sides_given", "whole"], ["sides_wanted"]),
        node("Reshape", ["images", "sides_wanted"], ["other"]),
    ]
    return changed(path, nodes, sides_given=[1, 63, 64, 3])


def fills_at_once(path: Path) -> Path:
    """Three gigabytes of zeros, of which one is used."""
    import onnx

    node = onnx.helper.make_node
    zero = onnx.helper.make_tensor("value", onnx.TensorProto.UINT8, [1], [0])
    nodes = [
        node("ConstantOfShape", ["count"], ["zeros"], value=zero),
        node("Slice", ["zeros", "from", "to"], ["one"]),
        node("Add", ["one", "images"], ["other"]),
    ]
    return changed(path, nodes, count=[3 << 30], **{"from": [0], "to": [1]})


def fills_by_doubling(path: Path) -> Path:
    """The image, doubled eighteen times."""
    import onnx

    node = onnx.helper.make_node
    names = ["images", *(f"double{turn}" for turn in range(18))]
    nodes = [node("Concat", [name, name], [more], axis=0) for name, more in pairwise(names)]
    nodes.append(node("Slice", [names[-1], "from", "to", "from"], ["other"]))
    return changed(path, nodes, **{"from": [0], "to": [1]})


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_that_fails_when_it_is_run_is_an_error_of_the_file(
    tmp_path: Path, runtime: str, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip(runtime)
    path = fails_when_run(tmp_path / "fails.onnx")
    engine = open_engine(path, EngineSettings(engine=runtime, cache=tmp_path))
    with pytest.raises(InvalidExport) as raised:
        engine(IMAGES)
    told = str(raised.value)
    assert told.startswith(f"Export {path}: {engine.name} cannot run it: ")
    assert told.isprintable()
    assert "reshap" in told.lower()
    assert len(told) < 600
    assert capfd.readouterr().err == ""  # the runtime says nothing of its own


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : \x1b[1;31mno such node\x1b[m\nmore", "no such node"),
        ("at a\nCheck 'x' failed at src/core/src/node.cpp:12:\nit is dynamic\n", "it is dynamic"),
        ("", "RuntimeError"),
    ],
)
def test_errors_of_runtimes_are_told_in_one_line(text: str, told: str):
    assert short_reason(RuntimeError(text)) == told
    assert short_reason(MemoryError()) == "there is no memory for it"


@pytest.mark.parametrize("make", [fills_at_once, fills_by_doubling])
def test_openvino_is_not_given_a_graph_that_fills_memory(tmp_path: Path, make: Callable):
    pytest.importorskip("openvino")
    path = make(tmp_path / "fills.onnx")
    with pytest.raises(InvalidExport, match=r"its maps take \d,\d{3},\d{3},\d{3} bytes at once"):
        open_engine(path, EngineSettings(engine="openvino", cache=tmp_path))


SCRIPT = """
import resource, sys
import numpy as np
from scantling.engines import EngineSettings, onnxruntime_engine, open_engine
from scantling.errors import InvalidExport
onnxruntime_engine.free_memory = lambda: 4 << 30
whole = open_engine(sys.argv[1], EngineSettings(engine="onnxruntime"))
fills = open_engine(sys.argv[2], EngineSettings(engine="onnxruntime"))
images = np.zeros((1, 64, 64, 3), np.uint8)
try:
    fills(images)
except InvalidExport as error:
    print(error)
print(whole(images).boxes.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("make", [fills_at_once, fills_by_doubling])
def test_onnx_runtime_has_bounded_memory(tmp_path: Path, make: Callable):
    """In a process of its own: the bound is that of the first file that a process opens."""
    pytest.importorskip("onnxruntime")
    (tmp_path / "whole.onnx").write_bytes(make_onnx(tmp_path))
    files = [str(tmp_path / "whole.onnx"), str(make(tmp_path / "fills.onnx"))]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *files], capture_output=True, text=True, check=True
    )
    told, rest = done.stdout.splitlines()
    assert re.search("cannot run it: .*[Mm]emory", told), told
    assert rest.startswith("(1, 16, 4) ")
    assert int(rest.split()[-1]) < 2600  # MiB
    assert done.stderr == ""


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model") / "a.safetensors"))


def test_the_memory_of_maps_is_counted_without_computing_them(small_model: Model):
    found = count_map_bytes(small_model.network.eval(), (1, 3, 6400, 6400), torch.float32)
    image, first = 3 * 6400**2 * 4, 8 * 3200**2 * 4
    # the image, then a convolution, its norm and its activation: two of them at once, or three
    assert image + 2 * first <= found <= image + 3 * first


def test_an_image_size_that_there_is_no_memory_for_is_refused(
    small_model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch_engine, "free_memory", lambda: 1 << 29)
    engine = TorchEngine(small_model, EngineSettings(device="cpu"))
    told = r"1 image of 16384×16384 pixels needs more .*: \d+\.\d GB for maps at once, 0\.5 GB are"
    with pytest.raises(NotEnoughMemory, match=told):
        engine.new_batch(1, (16384, 16384))
    with pytest.raises(NotEnoughMemory, match="4 images of 4096×4096"):
        engine(np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), (4, 4096, 4096, 3)))
    assert engine.new_batch(1, (2048, 2048)).shape == (1, 2048, 2048, 3)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_memory_that_torch_does_not_get_is_told(
    small_model: Model, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    engine = TorchEngine(small_model, EngineSettings(device="cpu"))

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "_forward", fail)
    with pytest.raises(NotEnoughMemory, match="1 image of 64×64 pixels"):
        engine(IMAGES)
    monkeypatch.setattr(engine, "_forward", lambda _: torch.zeros(2).view(3))
    with pytest.raises(RuntimeError, match="invalid"):
        engine(IMAGES)
