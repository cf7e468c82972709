"""The command line as a whole: exit codes and messages."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import scantling
from scantling.cli import COMMANDS, main
from scantling.cli.output import logged_as_notes


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    for words in (["--help"], []):
        code, out, _ = run(capsys, *words)
        assert code == 0
        assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str, capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "--json" in out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]):
    assert run(capsys, "--version") == (0, f"scantling {scantling.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predct", "x"], "No such command 'predct'. Did you mean 'predict'?"),
        (["predict", "x", "--min-scor", "1"], "--min-scor. Did you mean '--min-score'?"),
        (["predict"], "Missing argument 'SOURCE…'"),
        (["predict", "x", "--batch-size", "none"], "--batch-size"),
        (["predict", "x", "--set", "resize_mode=strech"], "'stretch'"),
        (["predict", "x", "--image-size", "4x4x4"], "HEIGHTxWIDTH"),
        (["predict", "x", "--iou-threshold", "2"], "--iou-threshold is 2.0"),
        (["predict", "x", "--set", "nms=gredy"], "Did you mean 'greedy'?"),
        (["predict", "x", "--save", "imags"], "Did you mean 'images'?"),
        (["predict", "x", "--model", "yolov4_tiny"], "Did you mean 'yolov4-tiny'?"),
        (["info", "yolov4_tiny"], "Did you mean 'yolov4-tiny'?"),
        (["info", "nowhere.cfg"], "nowhere.cfg"),
        (["convert", "nowhere.cfg", "there.safetensors"], "nowhere.cfg"),
    ],
)
def test_a_mistake_gets_one_message_and_code_2(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "x").touch()  # the source
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert err.startswith("scantling: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("scantling.specs.CATALOG", None)
    with pytest.raises(AttributeError):
        main(["list"])


def test_list_shows_every_model(capsys: pytest.CaptureFixture[str]):
    _, out, _ = run(capsys, "list")
    _, as_json, _ = run(capsys, "list", "--json")
    names = [row["name"] for row in json.loads(as_json)]
    assert names == list(scantling.CATALOG)
    assert all(name in out for name in names)


def test_a_reader_that_leaves_is_no_bug():
    code = "import sys; from scantling.cli import main; sys.exit(main(['list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listing:
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == 141


@pytest.mark.parametrize(("rank", "shown"), [("0", "scantling: WARNING: look out\n"), ("1", "")])
def test_of_several_processes_the_first_alone_prints_what_is_logged(
    rank: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RANK", rank)
    with logged_as_notes():
        logging.getLogger("scantling.training").warning("look out")
    assert capsys.readouterr().err == shown
