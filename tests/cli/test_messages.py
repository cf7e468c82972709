"""What is told is clean and short, whatever it quotes; what is too large is told, not raised."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bounded import bounded
from scantling.cli import COMMANDS, main
from scantling.cli.output import note
from scantling.darknet import read_cfg
from scantling.errors import (
    LONGEST_LINE,
    LONGEST_MESSAGE,
    InvalidCfg,
    InvalidSettings,
    InvalidSource,
    InvalidSpec,
    InvalidValue,
    InvalidWeights,
    ScantlingError,
    UnknownName,
    as_message,
)
from scantling.images import to_rgb_array
from small_models import write_cfg, write_data, write_model

STEERING = "a\x1b[31mb\x07\u202ec\x9b2J"


def every_error() -> list[type[ScantlingError]]:
    found, pending = [], [ScantlingError]
    while pending:
        found += (below := pending.pop().__subclasses__())
        pending += below
    return found


@pytest.mark.parametrize(
    "error",
    [
        InvalidCfg("a.cfg", 1, STEERING, STEERING, "x"),
        InvalidWeights(STEERING, STEERING, "x"),
        InvalidSpec(STEERING, STEERING, "x"),
        InvalidValue(STEERING, STEERING, "x"),
        InvalidSource(STEERING, STEERING),
        InvalidSettings([STEERING, STEERING]),
        UnknownName("model", STEERING, [STEERING]),
        ScantlingError(STEERING),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_error_steers_a_terminal(error: ScantlingError):
    assert not set(str(error)) & set("\x1b\x07\u202e\x9b")


def test_every_error_is_made_by_the_base(tmp_path: Path):
    """So that none can be added whose message is not cleaned."""
    assert all(issubclass(kind, ScantlingError) for kind in every_error())
    assert not [kind for kind in every_error() if "__str__" in vars(kind)]


def test_a_cfg_cannot_steer_the_terminal_or_fill_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cfg = write_cfg(tmp_path / "a.cfg")
    text = cfg.read_text()
    for name in (STEERING, "y" * 900_000):
        cfg.write_text(text.replace("[yolo]", f"[{name}]"))
        with pytest.raises(InvalidCfg) as refusal:
            read_cfg(cfg)
        assert "\x1b" not in str(refusal.value)
        assert main(["info", str(cfg)]) == 2
        err = capsys.readouterr().err
        assert "\x1b" not in err
        assert max(map(len, err.splitlines())) <= LONGEST_LINE


def test_no_quoted_line_passes_for_a_message_of_ours():
    shown = as_message("bad name 'x\nscantling: all is well\r\n  fine'")
    assert shown.splitlines()[1].startswith("  ")
    assert len(as_message("a\n" * 10**6)) <= 3 * LONGEST_MESSAGE
    assert as_message("one\n  two") == "one\n  two"


def test_notes_and_what_is_logged_are_cut_too(capsys: pytest.CaptureFixture[str]):
    note(STEERING * 100_000)
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert len(err) < 2 * LONGEST_LINE


@pytest.mark.parametrize("given", [10**5_000, [[]]], ids=["digits", "lists"])
def test_a_value_that_cannot_be_shown_is_still_refused_in_words(given: object):
    if isinstance(given, list):
        for _ in range(100_000):
            given = [given]
    assert "expected less" in str(InvalidValue("x", given, "less"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "not enough memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deep"),
        (OverflowError("int too large to convert to float"), "too large"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_too_much_is_told_with_code_2(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(_: object) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, "list", (COMMANDS["list"][0], fail))
    assert main(["list"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_another_runtime_error_is_still_a_bug(monkeypatch: pytest.MonkeyPatch):
    def fail(_: object) -> int:
        raise RuntimeError("shapes differ")

    monkeypatch.setitem(COMMANDS, "list", (COMMANDS["list"][0], fail))
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["list"])


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    write_data(folder)
    write_model(folder / "a.safetensors")
    return folder / "a.cfg"


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "x.jpg", "--image-size", "99968"],
        ["predict", "x.jpg", "--image-size", "16385"],
        ["predict", "x.jpg", "--batch-size", "1000000000"],
        ["predict", "x.jpg", "--min-score", "nan"],
        ["predict", "x.jpg", "--set", "streams=99999999999"],
        ["predict", "x.jpg", "--set", "max_candidates=99999999999999999999"],
        ["evaluate", "yolov4-tiny", "--data", "d", "--set", "workers=100000"],
        ["analyze", "yolov4-tiny", "--image-size", "99968"],
        ["analyze", "yolov4-tiny", "--batch-size", "100000000"],
        ["benchmark", "yolov4-tiny", "--batch-size", "9" * 5_000],
        ["export", "yolov4-tiny", "--to", "onnx", "--out", "x.onnx", "--batch-size", "9" * 5_000],
        ["train", "CFG", "--data", "DATA", "--set", "epochs=" + "[" * 20_000],
        ["train", "CFG", "--data", "DATA", "--set", "loader.store_gigabytes=1e300"],
        ["train", "CFG", "--data", "DATA", "--set", "epochs=1" + "0" * 400],
        ["train", "CFG", "--data", "DATA", "--image-size", "8"],
        ["train", "CFG", "--data", "DATA", "--image-size", "99968"],
        ["train", "CFG", "--data", "DATA", "--batch-size", "1000000000"],
        ["predict", "x.jpg", "--model", "a\0b.cfg"],
        ["predict", "x.jpg", "--model", "a" * 10_000 + ".onnx"],
        ["info", "a" * 10_000 + ".cfg"],
        ["info", "a" * 10_000],
    ],
    ids=lambda words: " ".join(words)[:70],
)
def test_every_number_and_name_of_an_option_has_an_end(
    words: list[str],
    cfg: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    known = {"CFG": str(cfg), "DATA": str(cfg.parent / "data.yaml")}
    words = [known.get(word, word) for word in words]
    if words[0] == "predict" and "--model" not in words:
        words += ["--model", str(cfg.with_suffix(".safetensors"))]
    with bounded():
        assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("scantling: ")
    assert max(map(len, err.splitlines())) <= LONGEST_LINE


def command(*words: str, closed: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a standard stream closed, by a shell."""
    script = f'exec "$0" -m scantling "$@" {closed}'
    return subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, *words],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_standard_input_that_is_closed_is_told():
    done = command("predict", "-", "--model", "nowhere.cfg", closed="<&-")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_standard_error_that_is_closed_breaks_nothing(tmp_path: Path):
    done = command("list", "--json", closed="2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)


def test_closed_standard_input_is_a_problem_of_the_source(monkeypatch: pytest.MonkeyPatch):
    from scantling.images import read_sources

    monkeypatch.setattr(sys, "stdin", None)
    (frame,) = read_sources("-")
    assert "is closed" in frame.problem


@pytest.mark.parametrize(
    "image",
    [np.matrix(np.zeros((4, 4), np.uint8)), np.broadcast_to(np.uint8(0), (200_000, 200_000, 3))],
    ids=["matrix", "112 GiB"],
)
def test_unusual_arrays_are_taken_or_refused(image: np.ndarray):
    if isinstance(image, np.matrix):
        assert to_rgb_array(image).shape == (4, 4, 3)
        return
    with pytest.raises(InvalidSource, match="more than the limit"):
        to_rgb_array(image)


def test_what_decoders_say_stands_in_no_line_between_ours(tmp_path: Path):
    """FFmpeg's words on a video that is none, and OpenCV's on one that it cannot open."""
    write_model(tmp_path / "a.safetensors")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(4_000))
    words = ("predict", str(tmp_path / "a.mp4"), "--model", str(tmp_path / "a.safetensors"))
    done = command(*words, "--save", "none", closed="")
    assert done.returncode == 2
    assert done.stderr
    assert all(line.startswith(("scantling: ", "  ")) for line in done.stderr.splitlines())
