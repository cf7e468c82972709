"""How many files of the package run a function during one command: a newcomer has to open those."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "flow.py"
CFG = "weights/yolov4-tiny-coco/yolov4-tiny.cfg"


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (["predict", "images/bus.jpg", "--model", CFG, "--engine", "torch", "--out", "out"], 40),
        pytest.param(
            ["export", CFG, "--to", "openvino", "--out", "tiny.xml"], 60, marks=pytest.mark.slow
        ),
        pytest.param(
            ["train", "yolov4-tiny", "--data", "datasets/bccd", "--epochs", "1", "--out", "run"],
            90,
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_runs_functions_in_few_files(
    command: list[str], most: int, assets: Path, tmp_path: Path
):
    words = [str(assets / word) if (assets / word).exists() else word for word in command]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words],
        cwd=tmp_path,
        env=os.environ | {"SCANTLING_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    count, _, rest = done.stderr.splitlines()[-1].partition(" files ran ")
    assert rest.endswith("exit code 0")
    assert int(count) <= most, done.stderr
    of_cfg = sum(line.startswith("darknet/") for line in done.stderr.splitlines())
    assert command[0] != "predict" or int(count) - of_cfg <= 28, done.stderr
