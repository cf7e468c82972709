"""A sample of the walk through every point at which a disk can fail: see tools/faults.py."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "faults.py"
NEEDED = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("gcc") is None, reason="needs gcc on Linux"
)


def walk(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPT, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@NEEDED
def test_at_no_point_is_a_picture_torn_or_lost():
    said = walk("data-show", "--every", "2")
    points = re.search(r"data-show: (\d+) full, (\d+) killed", said)
    assert points, said
    assert int(points[1]) >= 1, said
    assert int(points[2]) >= 3, said


@NEEDED
@pytest.mark.slow
def test_at_no_point_is_anything_torn_or_lost():
    assert re.search(r"\d+ points, 0 lines", walk())
