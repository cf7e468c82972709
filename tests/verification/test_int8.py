"""INT8 files: right where they were calibrated on photographs, named where on noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from injections import KEY, edit_metadata

from scantling.checkpoints import Model
from scantling.engines.graphs import make_metadata, to_openvino, write_onnx, write_openvino
from scantling.images.letterbox import resize_and_pad
from scantling.images.read import read_image
from scantling.specs.metadata import Calibration
from scantling.verification import Verification, verify

SHAPE = (1, 256, 256, 3)
CALIBRATION = Calibration(data="some", images=16)
Make = Callable[[str, list[np.ndarray]], Path]


@pytest.fixture(scope="module")
def quantised(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """OpenVINO's INT8 of the real yolov4-tiny, calibrated on some images."""
    nncf = pytest.importorskip("nncf")
    folder = tmp_path_factory.mktemp("int8")
    metadata = make_metadata(tiny, image_size=256, precision="int8", calibration=CALIBRATION)
    graph = to_openvino(tiny, metadata)

    def make(name: str, images: list[np.ndarray]) -> Path:
        made = nncf.quantize(graph.clone(), nncf.Dataset(images), subset_size=len(images))
        made.set_rt_info(metadata.model_dump_json(), KEY)
        write_openvino(made, folder / f"{name}.xml")
        return folder / f"{name}.xml"

    return make


def photographs(assets: Path) -> list[np.ndarray]:
    folder = assets / "datasets" / "coco-val2017-first128" / "images"
    paths = sorted(folder.glob("*.jpg"))[:16]
    return [resize_and_pad(read_image(path), SHAPE[1:3])[0][None] for path in paths]


def noise(kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    if kind == "uniform":
        return [rng.integers(0, 256, SHAPE, dtype=np.uint8) for _ in range(16)]
    return [np.clip(rng.normal(127, 40, SHAPE), 0, 255).astype(np.uint8) for _ in range(16)]


def names(verification: Verification) -> list[str]:
    assert not verification.passed
    return [fault.name for fault in verification.faults]


@pytest.mark.usefixtures("real_assets")
def test_int8_calibrated_on_photographs_passes(quantised: Make, tiny: Model, assets: Path):
    file = quantised("photographs", photographs(assets))
    verification = verify(file, against=tiny, engine="openvino", cache=file.parent)
    assert verification.passed, verification.describe_failure()
    assert verification.precision == "int8"


@pytest.mark.parametrize("kind", ["uniform", pytest.param("normal", marks=pytest.mark.slow)])
def test_int8_calibrated_on_noise_is_named(quantised: Make, tiny: Model, kind: str):
    file = quantised(kind, noise(kind))
    verification = verify(file, against=tiny, engine="openvino", cache=file.parent)
    assert names(verification) == ["INT8 calibrated on noise"]


def test_int8_calibrated_on_noise_is_named_in_onnx(yolo, tmp_path: Path):
    import onnx

    nncf = pytest.importorskip("nncf")
    images = [{"images": image} for image in noise("uniform")]
    made = nncf.quantize(onnx.load(yolo.file), nncf.Dataset(images), subset_size=len(images))

    def say_int8(record: dict) -> None:
        record.update(precision="int8", calibration=CALIBRATION.model_dump())

    edit_metadata(say_int8)(made)
    write_onnx(made, tmp_path / "noise.onnx")
    verification = verify(tmp_path / "noise.onnx", against=yolo.model, engine="onnxruntime")
    assert names(verification) == ["INT8 calibrated on noise"]
