"""The rule of `auto`, as a table; what a machine computes in; and what needs no torch."""

import subprocess
import sys

import pytest

from scantling.engines.hardware import Processor, describe_machine, find_processor
from scantling.engines.onnxruntime_engine import choose_providers
from scantling.engines.precision import choose_arithmetic
from scantling.engines.runtimes import choose_engine
from scantling.errors import InvalidValue, MissingPackage, UnknownName

EVERYTHING = {"torch", "openvino", "onnxruntime"}
BOARD = {"onnxruntime"}


@pytest.mark.parametrize(
    ("kind", "installed", "on_gpu", "architecture", "expected"),
    [
        ("model", EVERYTHING, False, "x86_64", "openvino"),
        ("model", EVERYTHING, False, "aarch64", "openvino"),
        ("model", EVERYTHING | {"tensorrt"}, True, "x86_64", "torch"),
        ("model", {"torch"}, False, "x86_64", "torch"),
        (".onnx", EVERYTHING, False, "x86_64", "openvino"),
        (".onnx", EVERYTHING, False, "aarch64", "onnxruntime"),
        (".onnx", EVERYTHING | {"tensorrt"}, True, "x86_64", "onnxruntime"),
        (".onnx", BOARD, False, "x86_64", "onnxruntime"),
        (".onnx", {"openvino"}, False, "aarch64", "openvino"),
        (".xml", EVERYTHING, False, "x86_64", "openvino"),
        (".engine", EVERYTHING | {"tensorrt"}, True, "x86_64", "tensorrt"),
    ],
)
def test_auto_takes_the_fastest(kind, installed, on_gpu, architecture, expected):
    chosen = choose_engine(kind, installed=installed, on_gpu=on_gpu, architecture=architecture)
    assert chosen.name == expected
    assert chosen.why


def test_auto_says_what_would_be_faster():
    chosen = choose_engine("model", installed={"torch"}, on_gpu=False, architecture="x86_64")
    assert "pip install openvino" in chosen.why


@pytest.mark.parametrize(
    ("kind", "asked", "installed", "error", "message"),
    [
        (".xml", "auto", BOARD, MissingPackage, "openvino"),
        (".onnx", "auto", {"torch"}, MissingPackage, "onnxruntime"),
        (".onnx", "tensorrt", EVERYTHING, MissingPackage, "tensorrt"),
        (".onnx", "torch", EVERYTHING, InvalidValue, "onnxruntime, openvino"),
        ("model", "tensorrt", EVERYTHING, InvalidValue, "torch, openvino"),
        ("model", "onnxruntme", EVERYTHING, UnknownName, "onnxruntime"),
    ],
)
def test_what_cannot_be_is_refused(kind, asked, installed, error, message):
    with pytest.raises(error, match=message):
        choose_engine(kind, asked=asked, installed=installed, on_gpu=False, architecture="x86_64")


def processor(maker: str, *instructions: str) -> Processor:
    return Processor("a", maker, "x86_64", 2, frozenset(instructions))


@pytest.mark.parametrize(
    ("maker", "instructions", "fast"),
    [
        ("GenuineIntel", ("avx512f", "avx512_bf16", "amx_bf16"), "bf16"),
        ("GenuineIntel", ("avx512f", "avx512_bf16"), "fp32"),
        ("GenuineIntel", ("avx2",), "fp32"),
        ("AuthenticAMD", ("avx512f", "avx512_bf16"), "bf16"),
        ("AuthenticAMD", ("avx512f",), "fp32"),
        ("ARM", ("asimd", "asimdhp", "bf16"), "bf16"),
        ("ARM", ("asimd", "asimdhp"), "fp16"),
        ("ARM", ("asimd",), "fp32"),
    ],
)
def test_the_precision_that_is_likely_fastest_follows_from_the_instructions(
    maker, instructions, fast
):
    assert processor(maker, *instructions).likely == fast


def test_a_precision_is_chosen_from_the_file_the_wish_and_the_processor(logged: list[str]):
    old, new = processor("GenuineIntel", "avx2"), processor("AuthenticAMD", "avx512_bf16")

    def choose(asked, own, machine):
        return choose_arithmetic(asked, own, machine, lambda: machine.likely)

    assert str(choose(None, "fp32", new)) == "fp32"
    assert str(choose(None, "bf16", new)) == "bf16"
    assert str(choose("auto", "fp32", new)) == "bf16"
    assert str(choose("auto", "fp32", old)) == "fp32"
    assert str(choose(None, "int8", new)) == "int8 and bf16"
    assert str(choose("fp32", "int8", new)) == "int8 and fp32"
    assert not logged
    assert str(choose(None, "bf16", old)) == "fp32"
    assert "fp32" in logged[0]
    with pytest.raises(InvalidValue, match="fp32"):
        choose("bf16", "fp32", old)


def test_the_machine_is_described_in_plain_values():
    told = describe_machine()
    assert told["cores"] >= 1
    assert told["packages"]["numpy"]
    assert set(told["instructions"]) or find_processor().architecture not in ("x86_64", "aarch64")


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("auto", ["CPUExecutionProvider"], "CPU"),
        ("cpu", ["CUDAExecutionProvider", "CPUExecutionProvider"], "CPU"),
        ("auto", ["CUDAExecutionProvider", "CPUExecutionProvider"], "GPU"),
        ("cuda:1", ["CUDAExecutionProvider", "CPUExecutionProvider"], "GPU"),
    ],
)
def test_onnxruntime_runs_on_the_device_that_was_asked_for(device, available, expected):
    providers, where = choose_providers(device, available)
    assert where == expected
    assert providers[-1] == "CPUExecutionProvider"
    if device == "cuda:1":
        assert providers[0] == ("CUDAExecutionProvider", {"device_id": 1})


def test_onnxruntime_refuses_a_device_that_is_not_there():
    with pytest.raises(InvalidValue, match="onnxruntime-gpu"):
        choose_providers("cuda", ["CPUExecutionProvider"])


def test_an_exported_file_is_run_without_torch(exported, tmp_path):
    check = (
        "import sys\n"
        "from scantling.inference import load\n"
        f"for name in ('static.xml', 'static.onnx'):\n"
        f"    found = load({str(exported)!r} + '/' + name, cache={str(tmp_path)!r})\n"
        "    import numpy\n"
        "    found(numpy.zeros((50, 60, 3), numpy.uint8))\n"
        "assert 'torch' not in sys.modules, 'torch was loaded'\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
