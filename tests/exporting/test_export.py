"""An export writes a file that says what it is, is verified, or is not there."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from thin import build, thin

from scantling.checkpoints import Model
from scantling.engines import EngineSettings, open_engine, read_metadata
from scantling.errors import (
    CannotWrite,
    ExportDiffers,
    InvalidExport,
    InvalidSpec,
    InvalidValue,
    UnknownName,
)
from scantling.exporting import FORMATS, export
from scantling.images.letterbox import resize_and_pad
from scantling.images.sources import read_sources
from scantling.specs.metadata import GraphForm, Metadata

pytestmark = pytest.mark.needs("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def small() -> Model:
    """A thin yolov4-tiny."""
    return build(thin("yolov4-tiny"))


@pytest.fixture
def data(assets: Path, tmp_path: Path) -> Path:
    """Sixteen labelled photographs."""
    folder = assets / "datasets" / "coco-val2017-first128"
    names = yaml.safe_load((folder / "config.yaml").read_text())["names"]
    listed = sorted((folder / "images").glob("*.jpg"))[:16]
    (tmp_path / "list.txt").write_text("\n".join(map(str, listed)))
    path = tmp_path / "data.yaml"
    told = {"path": str(folder), "val": str(tmp_path / "list.txt"), "names": names}
    path.write_text(yaml.safe_dump(told))
    return path


def convolution_precisions(path: Path) -> set[str]:
    """What OpenVINO computes the convolutions of a file in."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU")
    told = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    return {
        one["runtimePrecision"].astype(str)
        for one in told
        if one["layerType"].astype(str) == "Convolution"
    }


def test_a_file_says_what_it_is(small: Model, tmp_path: Path):
    form = GraphForm(takes="float", gives="raw", batch=None)
    exported = export(small, "onnx", out=tmp_path / "a.onnx", form=form, min_score=0.4, check=False)
    metadata = read_metadata(tmp_path / "a.onnx")
    assert metadata == exported.metadata
    assert metadata.form == form
    assert metadata.min_score == 0.4
    assert metadata.names == small.names
    assert exported.verification is None


def test_a_failed_check_leaves_nothing_behind(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usual = FORMATS["openvino"]

    def write(model: Model, metadata: Metadata, path: Path) -> None:
        stale = deepcopy(model.network)
        torch.nn.init.normal_(list(stale.parameters())[-1])
        usual.write(replace(model, network=stale), metadata, path)

    monkeypatch.setitem(FORMATS, "openvino", replace(usual, write=write))
    with pytest.raises(ExportDiffers, match=r"a\.xml was not written: "):
        export(small, "openvino", out=tmp_path / "a.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_when_an_export_fails(small: Model, tmp_path: Path):
    (tmp_path / "a.onnx").write_bytes(b"before")
    with pytest.raises(InvalidSpec):
        export(small, "onnx", out=tmp_path / "a.onnx", image_size=65, form=GraphForm(any_size=True))
    assert (tmp_path / "a.onnx").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, "--data DATA"),
        (
            {"data": "street.yaml"},
            "in fp32 nothing of this format depends on images; or ask for precision int8",
        ),
        ({"precision": "bf16"}, "or --to openvino"),
        ({"out": "model.xml"}, "ends in .onnx"),
        ({"max_ap_drop": 2.0}, "a share of 0 to 1"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(
    settings: dict[str, object], message: str, small: Model
):
    with pytest.raises(InvalidValue, match=message):
        export(small, "onnx", **settings)  # type: ignore[arg-type]


def test_a_misspelt_format_suggests_the_nearest(small: Model):
    with pytest.raises(UnknownName, match="Did you mean 'openvino'"):
        export(small, "openvin")


def test_a_folder_that_is_not_there_is_told(small: Model, tmp_path: Path):
    with pytest.raises(CannotWrite, match="there is no such folder"):
        export(small, "onnx", out=tmp_path / "no" / "a.onnx")


@pytest.mark.parametrize("problem", [OSError("a photograph is gone"), InvalidExport("a", "b", "c")])
def test_trouble_on_the_way_is_told_as_it_is(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
):
    def write(model: Model, metadata: Metadata, path: Path) -> None:
        raise problem

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write))
    with pytest.raises(type(problem)) as told:
        export(small, "onnx", out=tmp_path / "a.onnx")
    assert told.value is problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
def test_a_full_disk_is_told(small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usual = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        return usual(Path("/dev/full") if path.suffix == ".onnx" else path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(
        CannotWrite, match=r"a\.onnx cannot be written: there is no room.*Free some"
    ):
        export(small, "onnx", out=tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("real_assets")
@pytest.mark.parametrize("to", ["onnx", pytest.param("openvino", marks=pytest.mark.needs("nncf"))])
def test_int8_says_what_it_was_calibrated_on_and_is_near(
    to: str, small: Model, data: Path, tmp_path: Path, logged: list[str]
):
    path = tmp_path / f"a{FORMATS[to].suffix}"
    exported = export(small, to, out=path, precision="int8", data=data, check=False)
    calibration = read_metadata(path).calibration
    assert calibration is not None
    assert (calibration.data, calibration.images) == (str(data), 16)
    assert exported.speedup is not None
    assert any("too few to tell" in one for one in logged)
    if to == "openvino":
        assert convolution_precisions(path) in ({"i8"}, {"u8"}, {"i8", "u8"})  # and there are some
    photograph = next(read_sources(Path(yaml.safe_load(data.read_text())["val"]))).image
    images = resize_and_pad(photograph, small.spec.image_size, resize_mode="stretch", pad_value=0)[
        0
    ][None]
    native, upside_down = (
        open_engine(small, EngineSettings(engine="torch")),
        np.ascontiguousarray(images[:, ::-1]),
    )
    found = (open_engine(path)(images), native(images), native(upside_down))
    scores, others, wrong = (np.asarray(one.scores).ravel() for one in found)
    near, far = np.corrcoef([others, scores, wrong])[0, 1:]
    assert near > 0.8 > far + 0.2, (near, far)  # far: the same photograph upside down
    assert not np.array_equal(scores, others)


@pytest.mark.gpu
def test_tensorrt_exports_and_verifies(small: Model, tmp_path: Path):
    pytest.importorskip("tensorrt")
    exported = export(small, "tensorrt", out=tmp_path / "a.engine")
    assert exported.verification is not None
    assert exported.verification.passed
