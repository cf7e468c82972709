"""`scantling train`: what it prints and writes, what it refuses, how it stops and goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from safetensors.torch import load_file

from doomed import run_doomed
from scantling import load
from scantling.cli import main
from scantling.training import stop_signals

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import NAMES, SETTINGS, words, write_cfg, write_set

GIVEN = words({**SETTINGS, "shapes.range": 1, "loader.workers": 0})
RUN = ["train", "thin.cfg", "--data", "set/data.yaml", "--device", "cpu", *GIVEN]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a network and a data set; nothing is kept outside of it."""
    write_cfg(tmp_path)
    write_set(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_run_is_announced_shown_and_kept(desk: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*RUN, "--batch-size", "4", "--set", "anchors.fit=always"]) == 0
    out, err = capsys.readouterr()
    assert "train: 12 images, 24 objects, 2 classes" in err
    assert "val: 4 images, 8 objects, 2 classes" in err
    assert "thin for 2 classes: 2,365 parameters; input 64x64" in out
    # every setting that differs, with its source; the option wins over --set
    table = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert table["batch"].split() == ["batch", "4", "(given)"]
    assert table["optimizer.momentum"].split() == ["optimizer.momentum", "0.9", "(thin.cfg)"]
    assert "optimizer.clip_norm" not in table
    assert "Best possible recall of the model's anchors: " in out
    assert "fitted to the data, now in use" in out
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("images/s" in line and "AP50" in line for line in lines)
    folder = Path("runs/train-1")
    assert "Saved in runs/train-1" in out
    assert {path.name for path in folder.iterdir()} == {
        "best.safetensors", "curves.png", "environment.json", "last.safetensors", "metrics.csv",
        "metrics.jsonl", "report.html", "samples.jpg", "settings.json", "state.safetensors",
    }  # fmt: skip
    every = json.loads((folder / "settings.json").read_text())["settings"]
    assert every["optimizer.clip_norm"] == {"value": 0.0, "source": "default"}
    assert cv2.imread(str(folder / "curves.png")) is not None
    assert load(folder / "last.safetensors").names == NAMES


def test_json_prints_an_object_an_epoch_and_nothing_else(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--json", "--out", "r"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kept = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in row if name != "best"} for row in rows] == kept
    assert rows[0]["best"] is True
    assert {"box", "objectness", "classes", "total", "AP", "AP50"} <= set(rows[0])


def test_weights_are_taken_up_by_the_names_of_their_classes(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--out", "first", "--epochs", "1"]) == 0
    data = desk / "set" / "data.yaml"
    data.write_text(data.read_text().replace("[disc, square]", "[square, ring]"))
    again = ["train", "first/last.safetensors", "--data", "set/data.yaml", "--device", "cpu"]
    capsys.readouterr()
    assert main([*again, *GIVEN, "--epochs", "1", "--out", "second"]) == 0
    said = capsys.readouterr().err
    assert "1 kept by name, 1 new, 1 dropped" in said
    assert "kept by name: square; new: ring; dropped: disc" in said


def test_frozen_parts_stay_as_they_are(desk: Path, capsys: pytest.CaptureFixture[str]):
    plain = [*RUN, "--epochs", "1", "--set", "ema.decay=0"]
    assert main([*plain, "--out", "start"]) == 0
    begun = ["train", "start/last.safetensors", "--data", "set/data.yaml", "--device", "cpu"]
    frozen = [*GIVEN, "--epochs", "1", "--set", "ema.decay=0"]
    frozen += ["--set", "freeze=layers.0, layers.1"]
    assert main([*begun, *frozen, "--out", "r"]) == 0
    assert "of them learned" in capsys.readouterr().out
    before, after = (load_file(f"{name}/last.safetensors") for name in ("start", "r"))
    kernels = [name for name in before if name.endswith("weight")]
    changed = [name for name in kernels if not before[name].equal(after[name])]
    moved = {".".join(name.split(".")[:2]) for name in changed}
    assert moved == {"layers.2", "layers.3"}


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["train"], ["MODEL"]),
        (["train", "thin.cfg"], ["--data"]),
        (["train", "yolov4-tini", "--data", "nowhere"], ["Did you mean 'yolov4-tiny'?"]),
        (["train", "thin.cfg", "--data", "nowhere"], ["nowhere", "no such file"]),
        (["train", "thin.cfg", "--resume", "r"], ["MODEL", "beside --resume"]),
        (["train", "--resume", "set"], ["set: is not the folder of a run"]),
        (["train", "thin.cfg", "--data", "nowhere", "--set", "epochs"], ["expected key=value"]),
        (["train", "thin.cfg", "--data", "nowhere", "--recipe", "darkent"], ["expected a .toml"]),
        (["train", "thin.cfg", "--data", "nowhere", "--image-size", "a"], ["--image-size"]),
        ([*RUN, "--out", "set"], ["a folder that is empty", "--resume"]),
        ([*RUN, "--track", "tensorbord"], ["Did you mean 'tensorboard'?"]),
        ([*RUN, "--image-size", "0"], ["image_size", "0"]),
        (
            [
                "train", "thin.cfg", "--data", "nowhere", "--epochs", "0",
                "--set", "optimizer.momentun=0.5", "--set", "loss.box_gain=many",
            ],
            [
                "Did you mean 'optimizer.momentum'?", "epochs (given): 0 given",
                'loss.box_gain (given): "many"',
            ],
        ),
        (
            ["train", "thin.cfg", "--data", "nowhere", "--set", "augment.settings.mosiac=1"],
            ["Did you mean 'mosaic'?"],
        ),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_message_code_2_and_no_folder(
    arguments: list[str], messages: list[str], desk: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert all(message in err for message in messages), err
    assert not out
    assert not list(desk.glob("runs/*"))


def test_a_signal_ends_the_run_after_the_update_and_it_can_go_on(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    """The second epoch of the stopped and resumed run is that of a run in one piece."""
    assert main([*RUN, "--out", "whole"]) == 0
    stopped = [*RUN, "--out", "r", "--epochs", "2", "--set", "save_minutes=1e-9"]
    status, said = run_doomed(stopped, Path("r/state.safetensors"), 0, signal.SIGTERM)
    assert status == 143, said
    assert "scantling train --resume r" in said
    assert main(["train", "--resume", "r"]) == 0
    assert (desk / "r/last.safetensors").read_bytes() == (
        desk / "whole/last.safetensors"
    ).read_bytes()
    capsys.readouterr()
    assert main(["train", "--resume", "r"]) == 0
    assert "Nothing is left to do" in capsys.readouterr().out


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_the_first_signal_asks_for_an_end_and_the_second_is_one(
    before: signal.Handlers, request: pytest.FixtureRequest
):
    outside = signal.signal(signal.SIGINT, before)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, outside))
    with stop_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        assert stop.code == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with stop_signals() as stop:
        assert not stop()


def test_a_run_whose_data_changed_is_not_resumed(desk: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*RUN, "--epochs", "1", "--out", "r"]) == 0
    (desk / "set" / "labels" / "train" / "00.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    capsys.readouterr()
    assert main(["train", "--resume", "r"]) == 2
    assert "objects, labels changed" in capsys.readouterr().err


def test_a_run_is_resumed_from_another_folder(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main([*RUN, "--epochs", "1", "--out", "r"]) == 0
    monkeypatch.chdir(desk / "r")
    assert main(["train", "--resume", "."]) == 0


def test_a_broken_loss_names_the_images_and_leaves_the_last_good_state(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    exploding = ["--set", "optimizer.learning_rate=1e30", "--set", "schedule.warmup_least=0"]
    assert main([*RUN, *exploding, "--out", "r", "--precision", "fp32"]) == 2
    err = capsys.readouterr().err
    assert "The loss is no longer finite" in err
    named = err.split("Images of the update: ")[1].split(". Look")[0].split(", ")
    known = {int(path.stem) for path in (desk / "set" / "images" / "train").iterdir()}
    assert {int(name) for name in named} <= known
    assert len(named) == 4
    assert not (desk / "r" / "last.safetensors").exists()


def test_help_is_shown_without_torch():
    code = "import sys; from scantling.cli import main; main(['train', '--help'])"
    check = f"{code}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
