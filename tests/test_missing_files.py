"""A file that is not there is called missing, whatever it was to be read as."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scantling.checkpoints import load_model
from scantling.cli import main
from scantling.errors import ScantlingError
from scantling.scaling.device_profile import read_profile
from scantling.training import resume_run
from scantling.training.state import read_notes

READERS: list[tuple[str, Callable[[Path], object]]] = [
    *((f"x{suffix}", load_model) for suffix in (".safetensors", ".pt", ".pth", ".cfg", ".json")),
    ("profile.json", read_profile),
    ("run", resume_run),
    ("state.safetensors", read_notes),
]


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
def test_what_is_missing_is_said_to_be(name: str, read: Callable[[Path], object], tmp_path: Path):
    with pytest.raises(ScantlingError) as raised:
        read(tmp_path / "nowhere" / name)
    assert "no such file" in str(raised.value).lower()
    assert not any(word in str(raised.value) for word in ("cannot be read", "Errno", "damaged"))


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "a.jpg", "--model", "yolov4-tiny.weights.cfg"],
        ["evaluate", "nowhere/x.onnx", "--data", "nowhere/d.yaml"],
        ["verify", "nowhere/x.onnx"],
        ["benchmark", "nowhere/x.safetensors"],
        ["train", "nowhere/x.cfg", "--data", "nowhere/d.yaml"],
        ["train", "yolov4-tiny", "--data", "nowhere/d.yaml"],
        ["train", "yolov4-tiny", "--data", "d", "--recipe", "nowhere/r.toml"],
        ["device", "show", "nowhere/p.json"],
        ["evaluate", "yolov4-tiny", "--data", "d", "--set", "nowhere/r.toml"],
    ],
    ids=" ".join,
)
def test_a_command_says_so_too(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "no such file" in err.lower(), err
    assert "Errno" not in err


def test_the_folder_of_a_run_in_place_of_its_model_is_told_which_file_to_name(tmp_path: Path):
    for name in ("last", "best", "state"):
        (tmp_path / f"{name}.safetensors").touch()
    with pytest.raises(ScantlingError, match=r"is a folder, and no model.*best\.safetensors"):
        load_model(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScantlingError, match="Name a file"):
        load_model(tmp_path / "empty")
