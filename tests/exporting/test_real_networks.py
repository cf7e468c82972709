"""Real networks keep their AP on real photographs in every format and precision."""

from pathlib import Path

import pytest
import yaml

from scantling import Predictor
from scantling.checkpoints import Model, load_model
from scantling.engines import EngineSettings, open_engine
from scantling.engines.hardware import find_processor
from scantling.evaluation import evaluate, selection_for
from scantling.exporting import FORMATS, export

pytestmark = pytest.mark.needs("nncf", "onnxruntime", "openvino")

NETWORKS = {
    "yolov4-tiny": "yolov4-tiny-coco/yolov4-tiny.cfg",
    "yolo-fastest-1.1": "yolo-fastest-1.1-coco/yolo-fastest-1.1.cfg",
    "yolo-fastest-1.1-xl": "yolo-fastest-1.1-coco/yolo-fastest-1.1-xl.cfg",
}
LIMITS = {"fp32": 0.001, "bf16": 0.003, "int8": 0.01}


def photographs(assets: Path, path: Path, *, first: int, step: int, count: int) -> Path:
    """Some of the labelled photographs, as a YOLO data set."""
    folder = assets / "datasets" / "coco-val2017-first128"
    names = yaml.safe_load((folder / "config.yaml").read_text())["names"]
    listed = sorted((folder / "images").glob("*.jpg"))[first::step][:count]
    path.with_suffix(".txt").write_text("\n".join(map(str, listed)))
    told = {"path": str(folder), "val": str(path.with_suffix(".txt")), "names": names}
    path.write_text(yaml.safe_dump(told))
    return path


def load(assets: Path, network: str) -> Model:
    """A real network with its class names."""
    cfg = assets / "weights" / NETWORKS[network]
    return load_model(cfg, names=cfg.parent / "coco.names")


def average_precision(source: Model | Path, model: Model, data: Path, engine: str) -> float:
    """AP under COCO's protocol, of a file or of the model itself."""
    opened = open_engine(source, EngineSettings(engine=engine, device="cpu"))
    predictor = Predictor(
        opened, model.names, input_spec=model.spec.input, selection=selection_for("coco")
    )
    return evaluate(predictor, data).stats["AP"]


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_int8_of_the_real_tiny_keeps_most_of_its_ap(to: str, assets: Path, tmp_path: Path):
    model = load(assets, "yolov4-tiny")
    calibration = photographs(assets, tmp_path / "even.yaml", first=0, step=4, count=12)
    judged = photographs(assets, tmp_path / "odd.yaml", first=1, step=4, count=32)
    path = tmp_path / f"a{FORMATS[to].suffix}"
    exported = export(model, to, out=path, precision="int8", data=calibration)
    assert exported.verification is not None
    assert exported.verification.passed
    before = average_precision(model, model, judged, "torch")
    # so few images say little: one object more or less of a rare class is a hundredth
    assert average_precision(path, model, judged, FORMATS[to].engines[0]) > before - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("to", ["openvino", "onnx"])
@pytest.mark.parametrize("precision", LIMITS)
def test_the_ap_of_a_file_is_that_of_the_model(
    network: str, to: str, precision: str, assets: Path, tmp_path: Path
):
    if precision not in FORMATS[to].precisions:
        pytest.skip(f"{to} has no {precision}")
    if precision == "bf16" and not find_processor().has_bf16:
        pytest.skip("this processor has no arithmetic for bf16")
    model = load(assets, network)
    data = photographs(assets, tmp_path / "all.yaml", first=0, step=1, count=128)
    path = tmp_path / f"a{FORMATS[to].suffix}"
    judged = data if precision in FORMATS[to].quantizable else None
    export(model, to, out=path, precision=precision, data=judged)  # type: ignore[arg-type]
    before = average_precision(model, model, data, "torch")
    after = average_precision(path, model, data, FORMATS[to].engines[0])
    assert after == pytest.approx(before, abs=LIMITS[precision])
