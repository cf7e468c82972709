"""No file keeps a reader waiting, whatever it is called and whatever lies in its place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bounded import bounded
from labelled import make_dataset
from scantling.checkpoints import load_model
from scantling.cli.command import _split
from scantling.datasets.darknet_files import read_names
from scantling.datasets.readers import read_dataset
from scantling.engines.files import read_metadata
from scantling.engines.precision import _read
from scantling.errors import ScantlingError
from scantling.evaluation.coco_results import read_results
from scantling.evaluation.tables import make_ground_truth
from scantling.images import read_image
from scantling.inference import load
from scantling.scaling.device_profile import read_profile
from scantling.specs import find_spec
from scantling.training.resolve import read_run_file
from scantling.training.state import read_notes

READERS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys(("a.pt", "a.pth", "a.safetensors", "a.cfg", "a.json"), load_model),
    "a.npz": lambda path: load_model("efficientdet-d0", weights=path),
    "a.weights": lambda path: load_model("yolov4-tiny", weights=path),
    **dict.fromkeys(("a.onnx", "a.xml", "a.engine"), read_metadata),
    "spec.json": lambda path: find_spec(str(path)),
    "profile.json": read_profile,
    "state.safetensors": read_notes,
    "a.names": read_names,
    "recipe.toml": read_run_file,
    "settings.toml": lambda path: list(_split([str(path)], files=True)),
    "data.yaml": read_dataset,
    "coco.json": read_dataset,
    "a.data": read_dataset,
    "a.jpg": read_image,
    "results.json": lambda path: read_results(
        path, make_ground_truth(make_dataset(path.parent, []))
    ),
}


def refuse(name: str, path: Path, expected: str = "") -> None:
    with bounded(), pytest.raises(ScantlingError) as refusal:
        READERS[name](path)
    assert expected in str(refusal.value)
    assert "\0" not in str(refusal.value)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path):
    os.mkfifo(tmp_path / name)
    refuse(name, tmp_path / name, "is a pipe")


@pytest.mark.parametrize("name", READERS)
def test_a_device_and_a_folder_are_refused(name: str, tmp_path: Path):
    (tmp_path / name).symlink_to("/dev/zero")
    refuse(name, tmp_path / name, "is a device")


@pytest.mark.parametrize("name", READERS)
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path):
    refuse(name, tmp_path / f"a\0{name}")
    refuse(name, tmp_path / f"{'a' * 10_000}{name}")


def test_a_pipe_in_place_of_what_was_measured_is_passed_over(tmp_path: Path):
    os.mkfifo(tmp_path / "precision.json")
    with bounded():
        assert _read(tmp_path / "precision.json") == {}


@pytest.mark.parametrize("name", ["a\0b", "a" * 10_000])
@pytest.mark.parametrize("suffix", ["", ".cfg", ".pt", ".safetensors", ".json", ".onnx", ".xml"])
def test_no_model_is_called_so(name: str, suffix: str):
    with pytest.raises(ScantlingError):
        load(name + suffix)
    with pytest.raises(ScantlingError):
        load("yolov4-tiny", weights=name + suffix)
