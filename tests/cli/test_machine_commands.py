"""`doctor` and `cache`: what of this machine works, what is kept on it, and clearing that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scantling.cli import main
from scantling.engines import doctor


@pytest.fixture(autouse=True)
def no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "measure_precisions", lambda *_, **__: {"fp32": 0.01})
    monkeypatch.setattr(doctor, "fast_precision", lambda *_, **__: "fp32")


def test_the_doctor_says_what_works_and_why_the_rest_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["numpy"]
    assert found["engines"]["torch"]["works"]
    assert found["engines"]["torch"]["devices"][0] == "cpu"
    assert not found["engines"]["tensorrt"]["works"] or found["gpu"]
    assert found["cores"] >= 1
    assert found["memory"] > 0
    assert found["variables"] == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert "AVX512" not in found["instructions"]
    assert found["precisions"] == ["fp32"] or found["architecture"] != "x86_64"
    assert found["speed"]["torch"]["gmacs_per_second"]["fp32"] > 0
    assert found["cache"]["folder"] == str(tmp_path)
    assert found["cache"]["writable"]
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("packages ", "python ", "processor ", "memory ", "engine ", "speed ", "cache "):
        assert word in out
    if not found["engines"]["tensorrt"]["works"]:
        assert "tensorrt: not installed: pip install tensorrt" in out


def test_a_broken_package_is_told_of(monkeypatch: pytest.MonkeyPatch):
    def fail(name: str) -> None:
        raise OSError(f"lib{name}.so: wrong ELF class\nand more")

    monkeypatch.setattr(doctor, "import_module", fail)
    found = doctor.examine()
    assert found["engines"]["torch"]["why"] == "OSError: libtorch.so: wrong ELF class"
    assert found["speed"] == {}


def test_the_doctor_works_without_torch(tmp_path: Path):
    check = (
        "import sys; sys.modules['torch'] = None; sys.modules['openvino'] = None\n"
        "from scantling.cli import main\n"
        "sys.exit(main(['doctor', '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        env={"SCANTLING_CACHE": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["engines"]["torch"]["works"]


def fill(folder: Path) -> None:
    for name in ("engines/" + "0" * 32 + ".xml", "openvino/123.blob", "yolov4-tiny.weights"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * 5000)


def test_the_cache_is_shown_and_cleared_by_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path))
    (tmp_path / "mine.txt").touch()
    fill(tmp_path)
    assert main(["cache"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = {row[0]: row[1] for row in rows[1:-1]}
    assert counts == {
        "downloads": "1",
        "converted": "1",
        "compiled": "1",
        "images": "0",
        "notes": "0",
    }
    assert main(["cache", "--clear", "compiled"]) == 0
    out = capsys.readouterr().out
    assert "Removed" in out
    assert not (tmp_path / "openvino" / "123.blob").exists()
    assert (tmp_path / "engines" / ("0" * 32 + ".xml")).exists()
    assert main(["cache", "--clear"]) == 0
    assert "scantling cache downloads --clear" in capsys.readouterr().out
    assert (tmp_path / "yolov4-tiny.weights").exists()
    assert not any((tmp_path / "engines").iterdir())
    assert main(["cache", "downloads", "--clear"]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.txt"]


def test_a_kind_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["cache", "blobs"]) == 2
    assert "compiled" in capsys.readouterr().err
