"""What a program started ends with it, however it ends: killed, it has no time to see to that."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

# Each starts two processes, says when they are at work, and waits.
LOADER = """
import sys
from itertools import repeat
from pathlib import Path
from time import sleep
from scantling.augment import ScaledYoloAugmentation
from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.datasets.loader import Task, load_batches, open_training_set

def augmentation(image_size):
    return ScaledYoloAugmentation(image_size=image_size)

if __name__ == "__main__":
    image = LabelledImage(Path(sys.argv[1]), 0, (60, 80))
    objects = make_objects([[10, 20, 60, 50]], [0], [0])
    data = Dataset(image.path.parent, "yolo", "train", ("a",), (0,), (image,), objects)
    opened = open_training_set(data, augmentation, long_side=64)
    batches = load_batches(opened, repeat(Task((0,), (64, 64))), workers=2)
    for _ in range(4):
        next(batches)
    print("at work", flush=True)
    sleep(100_000)
"""
POOL = """
from time import sleep
from scantling.images.preprocess import open_pool

if __name__ == "__main__":
    with open_pool(2) as pool:
        for start in [pool.submit(len, "abc") for _ in range(8)]:
            assert start.result() == 3
        for _ in range(2):
            pool.submit(sleep, 100_000)  # which looks at no pipe
        print("at work", flush=True)
        sleep(100_000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("script", [LOADER, POOL], ids=["loader", "pool"])
def test_processes_end_with_the_program_that_is_killed(script: str, tmp_path: Path):
    path, image = tmp_path / "program.py", tmp_path / "a.png"
    path.write_text(script)
    cv2.imwrite(str(image), np.zeros((60, 80, 3), np.uint8))
    with subprocess.Popen(
        [sys.executable, path, image], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout.readline() == "at work\n", program.stderr.read()
        program.kill()
        # whoever is left has this output, too: it ends with the last of them
        assert program.communicate(timeout=600)[0] == ""


def test_a_process_of_a_benchmark_ends_with_the_program_that_started_it(assets: Path):
    from scantling.benchmarking.process import SCRIPT

    cfg = assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg"
    settings = {"model": str(cfg), "engine": "torch", "device": "cpu", "image_size": [64, 64]}
    images = [str(next((assets / "images").rglob("dog.jpg")))]
    told = {"settings": settings, "images": images, "batch": 1, "passes": 10**9}
    with subprocess.Popen(
        [sys.executable, "-P", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"first": True}
        assert process.poll() is None
        assert process.communicate(timeout=600)[0] == ""  # which closes its input
        assert process.returncode == 1
