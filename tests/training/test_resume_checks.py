"""A run goes on only with what it began with, from its own folder alone, and runs nothing in it."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from small import SETTINGS, words, write_cfg, write_set

from scantling.cli import main
from scantling.errors import InUse
from scantling.training import EpochDone, open_run, resume_run

TABLES = {
    "epochs": 2,
    "batch": 4,
    "nominal_batch": 4,
    "loader": {"workers": 0},
    "anchors": {"fit": "never"},
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of two epochs that was left after the first, its network and its data."""
    folder = tmp_path_factory.mktemp("begun")
    cfg, data = write_cfg(folder), write_set(folder / "set", images=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCANTLING_CACHE", str(folder / "cache"))
        run = open_run(cfg, data, settings=TABLES, device="cpu", out=folder / "run")
        for event in run.events():
            if isinstance(event, EpochDone):
                break
        yield folder


@pytest.fixture
def desk(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same to change; paths in the settings are those of `begun`, which is put back after."""
    kept = tmp_path / "kept"
    shutil.copytree(begun, kept)
    monkeypatch.setenv("SCANTLING_CACHE", str(begun / "cache"))
    yield begun
    shutil.rmtree(begun)
    shutil.copytree(kept, begun)


def resume(folder: Path, *more: str) -> int:
    return main(["train", "--resume", str(folder / "run"), *more])


def test_another_cfg_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]):
    cfg = desk / "thin.cfg"
    cfg.write_text(cfg.read_text().replace("anchors=8,8,", "anchors=5,5,"))
    assert resume(desk) == 2
    err = capsys.readouterr().err
    assert f"{cfg}: it is not the file of the model that the run began with" in err
    assert "Put the old one back" in err
    cfg.unlink()  # the run has all of it in its own folder
    assert resume(desk) == 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_labels_are_refused_be_they_as_many(
    split: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    labels = desk / "set/labels" / split / "00.txt"
    first, *rest = labels.read_text().splitlines(keepends=True)
    label, x, *others = first.split()
    labels.write_text("".join([f"{label} {float(x) + 0.01} {' '.join(others)}\n", *rest]))
    assert resume(desk) == 2
    what = {"train": "labels", "val": "validation labels"}[split]
    assert f"it is not what the run began with: {what} changed" in capsys.readouterr().err


def test_a_checkpoint_to_start_from_that_is_gone_is_not_needed_and_another_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    weights = desk / "start.safetensors"
    shutil.copy(desk / "run/best.safetensors", weights)
    data = desk / "set/data.yaml"
    run = open_run(weights, data, settings=TABLES, device="cpu", out=desk / "other")
    for event in run.events():
        if isinstance(event, EpochDone):
            break
    with weights.open("ab") as stream:
        stream.write(b"x")
    assert main(["train", "--resume", str(desk / "other")]) == 2
    assert "not the file of the model" in capsys.readouterr().err
    weights.unlink()
    assert main(["train", "--resume", str(desk / "other")]) == 0


def test_code_that_a_run_folder_names_is_run_only_if_it_is_trusted(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    code = desk / "run/own.py"
    code.write_text(
        "from pathlib import Path\n"
        f"Path({str(desk / 'ran')!r}).touch()\n"
        "class Same:\n"
        "    def __call__(self, sample, rng):\n"
        "        return sample\n"
    )
    settings = desk / "run/settings.json"
    record = json.loads(settings.read_text())
    extra = {"name": f"{code}:Same", "settings": {}}
    record["recipe"]["augment"]["extra"] = [extra]
    settings.write_text(json.dumps(record))
    assert resume(desk) == 2
    err = capsys.readouterr().err
    assert f"names Python files to run: {code}:Same" in err
    assert "--set trust=true" in err
    assert not (desk / "ran").exists()
    assert resume(desk, "--set", "trust=true") == 0
    assert (desk / "ran").exists()


@pytest.mark.parametrize(
    "text",
    ["nope\n", "[1]\n", '{"epoch": "1"}\n', '{"epoch": 1, "step": 1.5, "total": 1}\n', "\xff"],
)
def test_damaged_metrics_are_named_with_their_line(
    text: str, desk: Path, capsys: pytest.CaptureFixture[str]
):
    (desk / "run/metrics.jsonl").write_bytes(text.encode("latin-1"))
    assert resume(desk) == 2
    err = capsys.readouterr().err
    assert str(desk / "run/metrics.jsonl") in err
    assert "Delete the file to go on" in err


@pytest.mark.parametrize(
    "change",
    [
        {"args": {"trackers": 5}},
        {"data": 5},
        {"recipe": []},
        {"settings": {"epochs": 3}},
        {"sources": {"epochs": 3}},
    ],
    ids=str,
)
def test_damaged_settings_are_named(
    change: dict[str, object], desk: Path, capsys: pytest.CaptureFixture[str]
):
    path = desk / "run/settings.json"
    record = json.loads(path.read_text())
    for name, value in change.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(record))
    assert resume(desk) == 2
    assert str(path) in capsys.readouterr().err


def test_models_that_are_gone_or_cut_are_made_again(desk: Path):
    last, best = (desk / f"run/{name}.safetensors" for name in ("last", "best"))
    whole = last.read_bytes(), best.read_bytes()
    last.write_bytes(whole[0][:-100])
    best.unlink()
    resume_run(desk / "run")
    assert (last.read_bytes(), best.read_bytes()) == whole


def test_best_weights_that_nothing_holds_are_said_to_be_lost(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    metrics = desk / "run/metrics.jsonl"
    row = json.loads(metrics.read_text())
    better = {**row, "step": row["step"] - 1, "AP": 0.9, "AP50": 0.95}
    metrics.write_text(f"{json.dumps(better)}\n{json.dumps(row)}\n")
    (desk / "run/best.safetensors").unlink()
    assert resume(desk) == 0
    err = capsys.readouterr().err
    assert "best.safetensors is gone or damaged" in err
    assert (desk / "run/best.safetensors").exists()  # of the epoch that was still to come


def test_a_folder_that_holds_nothing_yet_is_started_in(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    folder = desk / "early"
    folder.mkdir()
    shutil.copy(desk / "run/environment.json", folder)
    (folder / ".state-0123abcd.part.safetensors").touch()
    assert main(["train", "--resume", str(folder)]) == 2
    assert "holds nothing to resume yet; start it again" in capsys.readouterr().err
    settings = {**SETTINGS, "epochs": 1, "loader.workers": 0}
    given = ["train", str(desk / "thin.cfg"), "--data", str(desk / "set/data.yaml")]
    assert main([*given, "--device", "cpu", "--out", str(folder), *words(settings)]) == 0
    assert not list(folder.glob(".*"))
    assert main([*given, "--device", "cpu", "--out", str(folder), *words(settings)]) == 2


def test_a_run_has_its_folder_to_itself(desk: Path, capsys: pytest.CaptureFixture[str]):
    """For a second training there, and a second resume; and no longer when it is killed."""
    child = os.fork()
    if not child:
        from scantling.training.folder import RunFolder, lock_folder

        lock = lock_folder(RunFolder(desk / "run"))
        signal.pause()
        del lock
        os._exit(0)
    while not (desk / "run/.scantling-lock").exists() or not (
        (desk / "run/.scantling-lock").read_text()
    ):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    try:
        assert resume(desk) == 2
        assert f"run is being written by process {child}" in capsys.readouterr().err
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    first = resume_run(desk / "run")
    with pytest.raises(InUse, match=f"by process {os.getpid()}"):
        resume_run(desk / "run")
    del first
    assert resume(desk) == 0
