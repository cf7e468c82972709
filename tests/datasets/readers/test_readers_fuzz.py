"""Damaged label, XML, JSON and YAML files: a finding or InvalidData, soon, never anything else."""

import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sets import write_coco, write_darknet, write_voc, write_yolo

from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData

ROUNDS = 250
SECONDS = 2.0  # of processor time for one; a real one takes a hundredth
MEMORY = 2**28  # bytes that all rounds together may add
PIECES = (
    b"\0", b"\xff", b"\n", b"-", b",", b"nan", b"1e999", b"-1", b"[", b"]", b"{", b"}", b"<", b">",
    b"&x;", b"<!DOCTYPE a>", b"&a ", b"*a", b"!!python/name:os.system ", b"null", b'"', b"'", b":",
    b"\xef\xbb\xbf", b"\xf0\x9f\x90\x88", b"9" * 400, b"0.5", b"../", b"/", b"*", b"\\ud800", b"\t",
    b"true", b"\r", b"<object>", b"</object>", b"#", b"? ", b"- ", b"|", b"%",
)  # fmt: skip

# What is written, and which of its files is damaged.
TARGETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "yolo label": (write_yolo, "labels/val/a.txt"),
    "yolo yaml": (write_yolo, "data.yaml"),
    "darknet label": (write_darknet, "labels/a.txt"),
    "darknet data": (write_darknet, "obj.data"),
    "darknet names": (write_darknet, "obj.names"),
    "darknet list": (write_darknet, "val.txt"),
    "voc xml": (write_voc, "Annotations/a.xml"),
    "voc list": (write_voc, "ImageSets/Main/val.txt"),
    "coco json": (write_coco, "annotations/instances_val2017.json"),
}


def damage(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(data))
        end = min(len(data), start + rng.choice((0, 1, 2, 10)))
        kind = rng.randint(0, 4)
        if kind == 0:
            data = data[:start] + rng.choice(PIECES) + data[end:]
        elif kind == 1:
            data = data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start] + data[end:]
        elif kind == 3:
            data = data[:start] + data[start : start + 20] * rng.choice((2, 50)) + data[end:]
        else:
            data = data[:start] if rng.random() < 0.2 else data + rng.choice(PIECES)
    return data


def memory() -> int:
    """Bytes that this process has held at most."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@pytest.mark.parametrize("target", TARGETS)
def test_a_damaged_file_is_read_or_refused(target: str, tmp_path: Path):
    writer, name = TARGETS[target]
    source = writer(tmp_path)
    clean = (tmp_path / name).read_bytes()
    rng = random.Random(target)  # noqa: S311
    before, outcomes = memory(), set()
    for _ in range(ROUNDS):
        (tmp_path / name).write_bytes(damage(clean, rng))
        start = time.process_time()
        try:
            dataset = read_dataset(source)
            outcomes.add("findings" if len(dataset.findings) > 1 else "read")
        except InvalidData as error:
            outcomes.add("refused" if error.findings else "refused without a finding")
        assert time.process_time() - start < SECONDS
    assert memory() - before < MEMORY
    assert "refused without a finding" not in outcomes
    assert len(outcomes) > 1
