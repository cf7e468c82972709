"""An exported file where torch is not installed: predicted with, evaluated, benchmarked, shown.

In the suite torch is made impossible to import; `.ci/run` also runs this in an environment that has
none, on files made beforehand: see `make_files.py`.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from once import make_once

ABSENT = "torch torchvision accelerate onnx onnxscript timm effdet safetensors"
PREAMBLE = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in set({ABSENT.split()!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
COMMAND = PREAMBLE + "from scantling.cli import main\nsys.exit(main(sys.argv[1:]))"
GREEDY = ("--set", "nms=greedy")  # what a file that has NMS inside does, and what is expected
FILES = ["candidates.xml", "raw.onnx", "detections.xml"]


@pytest.fixture(scope="session")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported files, a few images and what the model itself finds in them."""
    if "SCANTLING_BOARD_FILES" in os.environ:
        return Path(os.environ["SCANTLING_BOARD_FILES"])
    script = runpy.run_path(str(Path(__file__).with_name("make_files.py")))
    assets = request.getfixturevalue("assets")
    return make_once(tmp_path_factory, "board", lambda folder: script["make_files"](assets, folder))


def start(code: str, *words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SCANTLING_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "error"}
    environment.pop("SCANTLING_ENGINE", None)  # the suite's own choice is torch
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=600,
    )


def scantling(*words: object, folder: Path) -> str:
    """What a command prints, which must work."""
    done = start(COMMAND, *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [one["name"] for one in found] == [one["name"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=0.002)
        assert one["box"] == pytest.approx(other["box"], abs=0.3)


@pytest.mark.parametrize("file", FILES)
def test_an_exported_file_finds_what_the_model_finds(file: str, made: Path, tmp_path: Path):
    photos = made / "data" / "images" / "val"
    said = scantling(
        "predict",
        photos,
        "--model",
        made / file,
        "--precision",
        "fp32",
        *GREEDY,
        "--json",
        folder=tmp_path,
    )
    expected = json.loads((made / "expected.json").read_text())
    lines = [json.loads(line) for line in said.splitlines()]
    assert len(lines) == len(expected["images"]) > 2
    assert sum(len(line["detections"]) for line in lines) > 8
    for line in lines:
        assert_alike(line["detections"], expected["images"][Path(line["source"]).name])


def test_pictures_and_tables_are_written(made: Path, tmp_path: Path):
    words = ("--save", "images,crops,jsonl,csv,txt,voc,coco", "--out", tmp_path / "out")
    scantling("predict", made / "large.jpg", "--model", made / FILES[0], *words, folder=tmp_path)
    kinds = {path.suffix for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    assert kinds >= {".jpg", ".jsonl", ".csv", ".txt", ".xml", ".json"}


@pytest.mark.parametrize("file", FILES[:2])
def test_an_exported_file_has_the_ap_of_the_model(file: str, made: Path, tmp_path: Path):
    words = (
        "--data",
        made / "data" / "data.yaml",
        "--set",
        "precision=fp32",
        "--out",
        tmp_path / "e",
    )
    said = scantling("evaluate", made / file, *words, "--json", folder=tmp_path)
    expected = json.loads((made / "expected.json").read_text())
    assert json.loads(said)["stats"]["AP"] == pytest.approx(expected["AP"], abs=1e-3)
    assert expected["AP"] > 0.05


def test_exported_files_are_benchmarked(made: Path, tmp_path: Path):
    words = (
        "--images",
        made / "data" / "images" / "val",
        "--seconds",
        0.3,
        "--set",
        "isolated=false",
        "--json",
    )
    said = scantling("benchmark", *(made / file for file in FILES), *words, folder=tmp_path)
    assert all(file in said for file in FILES)


def test_an_exported_file_says_what_it_is(made: Path, tmp_path: Path):
    facts = json.loads(scantling("info", made / "raw.onnx", "--json", folder=tmp_path))
    assert (facts["gives"], facts["image_size"], facts["num_classes"]) == ("raw", [320, 320], 80)
    assert "yolo-fastest" in scantling("info", made / FILES[0], folder=tmp_path)


@pytest.mark.parametrize("words", [("list",), ("--help",), ("predict", "--help")])
def test_what_needs_no_model_works(words: tuple[str, ...], tmp_path: Path):
    assert scantling(*words, folder=tmp_path)


def test_a_data_set_is_checked(made: Path, tmp_path: Path):
    done = start(COMMAND, "data", "check", made / "data" / "data.yaml", folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert "warnings" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "{made}/large.jpg", "--model", "yolov4-tiny"),
        ("predict", "{made}/large.jpg", "--model", "model.safetensors"),
        ("evaluate", "yolov4-tiny", "--data", "{made}/data/data.yaml"),
        ("info", "yolov4-tiny"),
        ("train", "yolov4-tiny", "--data", "{made}/data/data.yaml"),
    ],
)
def test_what_needs_torch_says_so_and_what_to_do(
    words: tuple[str, ...], made: Path, tmp_path: Path
):
    (tmp_path / "model.safetensors").touch()  # what is in it, only torch reads
    done = start(COMMAND, *(word.format(made=made) for word in words), folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "needs PyTorch, which is not installed" in done.stderr
    assert "scantling export" in done.stderr


def test_python_loads_an_exported_file_and_loads_no_torch(made: Path, tmp_path: Path):
    code = PREAMBLE + (
        "import scantling\n"
        "found = scantling.load(sys.argv[1])(sys.argv[2])\n"
        "assert found.image_size == (1080, 1920)\n"
        "assert not {'torch', 'matplotlib', 'yaml', 'faster_coco_eval'} & set(sys.modules)\n"
        "print(len(found))\n"
    )
    done = start(code, made / FILES[0], made / "large.jpg", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_the_command_loads_no_more_than_predicting_needs(made: Path, tmp_path: Path):
    code = PREAMBLE + (
        "from scantling.cli import main\n"
        "code = main(['predict', sys.argv[1], '--model', sys.argv[2], '--json'])\n"
        "assert not {'torch', 'matplotlib', 'yaml', 'faster_coco_eval'} & set(sys.modules)\n"
        "sys.exit(code)\n"
    )
    done = start(code, made / "large.jpg", made / FILES[0], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["detections"]
