"""A format is one entry in `FORMATS`, an engine one in `ENGINES`: nothing else has to know them."""

from dataclasses import replace
from pathlib import Path

import pytest
from thin import build, thin

from scantling.checkpoints import Model
from scantling.engines import ENGINES, FORMATS, Format, is_exported, open_engine, read_metadata
from scantling.engines.runtimes import Runtime
from scantling.errors import InvalidValue
from scantling.exporting import export
from scantling.specs.metadata import Metadata


@pytest.fixture(scope="module")
def model() -> Model:
    return build(thin("yolov4-tiny"))


def write_toy(_model: Model, metadata: Metadata, path: Path) -> None:
    path.write_text(metadata.model_dump_json())
    path.with_suffix(".weights").write_bytes(b"weights")


TOY = Format(
    suffix=".toy",
    companions=(".weights",),
    write=write_toy,
    read_metadata=lambda path: path.read_bytes(),
)


def test_a_format_that_no_engine_runs_is_written_and_not_verified(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
):
    monkeypatch.setitem(FORMATS, "toy", TOY)
    exported = export(model, "toy", out=tmp_path / "a.toy")
    assert exported.files == (tmp_path / "a.toy", tmp_path / "a.weights")
    assert all(path.is_file() for path in exported.files)
    assert exported.verification is None
    assert any("not verified: no engine here runs .toy files" in line for line in logged)
    assert is_exported(exported.path)
    assert read_metadata(exported.path) == exported.metadata
    with pytest.raises(InvalidValue, match="an engine here runs"):
        open_engine(exported.path)
    with pytest.raises(InvalidValue, match="fp32; or --to openvino"):
        export(model, "toy", precision="bf16")


@pytest.mark.needs("onnxruntime", "onnx", "onnxscript")
def test_a_format_with_an_engine_of_its_own_is_verified_in_it(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from scantling.engines.graphs import to_onnx
    from scantling.engines.onnxruntime_engine import open_onnxruntime

    def write(model: Model, metadata: Metadata, path: Path) -> None:
        path.write_bytes(to_onnx(model, metadata).SerializeToString())

    onnx = FORMATS["onnx"]
    toy = replace(TOY, companions=(), write=write, read_metadata=onnx.read_metadata)
    monkeypatch.setitem(FORMATS, "toy", replace(toy, engines=("toy-engine",)))
    runtime = Runtime(packages=("numpy",), open_file=open_onnxruntime)
    monkeypatch.setitem(ENGINES, "toy-engine", runtime)
    exported = export(model, "toy", out=tmp_path / "a.toy")
    assert exported.verification is not None
    assert exported.verification.passed
    assert open_engine(exported.path).name == "onnxruntime"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_engines_that_there_are(name: str):
    entry = FORMATS[name]
    assert set(entry.engines) <= set(ENGINES)
    assert "fp32" in entry.precisions
    assert set(entry.quantizable) <= set(entry.precisions)
    assert is_exported(f"model{entry.suffix}")
    assert [one.suffix for one in FORMATS.values()].count(entry.suffix) == 1
