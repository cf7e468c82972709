"""Reading images again and again asks the system for no new memory, unless the user wants that."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.images.read import CHOSEN, keep_freed_memory

READ = """
import resource, sys
from scantling.images import read_image

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def read():
    images = [read_image(sys.argv[1]) for _ in range(4)]
    return [image.copy() for image in images]

for _ in range(5):
    read()
before = faults()
for _ in range(20):
    read()
print((faults() - before) / 20)
"""

needs_glibc = pytest.mark.skipif(not keep_freed_memory(), reason="no glibc, or set by the user")


def pages_asked_for(path: Path, **environment: str) -> float:
    """Pages of memory that a process asks for to read an image four times, and copy it."""
    usual = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=usual | environment
    )
    return float(done.stdout)


@needs_glibc
def test_memory_of_images_is_used_again(tmp_path: Path):
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (1280, 960)))
    pages = 8 * 1280 * 960 * 3 / 4096
    assert pages_asked_for(path) < 0.02 * pages
    assert pages_asked_for(path, MALLOC_TRIM_THRESHOLD_="131072") > 0.5 * pages  # as the user says
