"""Files written by version 0.1.0, before rooms and words changed, are read and answer the same.

`old_files.zip` holds checkpoints, exported files, a run that stopped after an epoch, a device
profile, and what that version found in an image of noise.
"""

import json
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from scantling.inference import load
from scantling.postprocess import Selection
from scantling.scaling.device_profile import read_profile
from scantling.training import EpochDone, resume_run
from scantling.verification import verify

sys.path.insert(0, str(Path(__file__).parent / "training"))
from small import write_set

ENGINES = {".safetensors": "torch", ".onnx": "onnxruntime", ".xml": "openvino"}
MODELS = [f"{name}{suffix}" for name in ("efficientdet-d0", "yolov4-tiny") for suffix in ENGINES]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    ZipFile(Path(__file__).with_name("old_files.zip")).extractall(folder)
    settings = folder / "run" / "settings.json"  # paths of the machine that wrote it
    settings.write_text(settings.read_text("utf-8").replace("{folder}", str(folder)), "utf-8")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_an_old_model_finds_what_it_found(old: Path, name: str):
    engine = ENGINES[Path(name).suffix]
    pytest.importorskip(engine)
    model = load(
        old / name,
        engine=engine,
        precision="fp32",
        selection=Selection(min_score=0.001, max_detections=5),
    )
    found = model(np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8))
    expected = json.loads((old / "expected.json").read_text("utf-8"))[name]
    np.testing.assert_allclose(found.scores, expected["scores"], rtol=1e-4)
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=0.05)
    assert found.labels.tolist() == expected["labels"]


@pytest.mark.parametrize("name", [name for name in MODELS if not name.endswith(".safetensors")])
def test_an_old_export_is_known_to_be_of_its_model(old: Path, name: str):
    engine = ENGINES[Path(name).suffix]
    pytest.importorskip(engine)
    against = (old / name).with_suffix(".safetensors")
    found = verify(old / name, against=against, engine=engine)
    assert found.passed
    assert (found.faults, found.notes) == ((), ())  # nothing of other weights


def test_an_old_run_is_resumed_to_its_end(old: Path, tmp_path: Path):
    (old / "set").mkdir()
    write_set(old / "set")
    run = resume_run(old / "run", cache=tmp_path)
    epochs = [event for event in run.events() if isinstance(event, EpochDone)]
    assert len(epochs) == 1  # the second of two
    rows = (old / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2]


def test_an_old_device_profile_is_read(old: Path):
    profile = read_profile(old / "device.json")
    assert (profile.engine, profile.threads, len(profile.samples)) == ("torch", 1, 44)
