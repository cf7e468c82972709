"""What OpenCV 4 made of darknet files, for OpenCV 5, which reads none.

`python tools/make_opencv_references.py` makes the file again, with OpenCV 4. Where tests run with
OpenCV 4, they ask it itself, and compare what is in the file with its answer.
"""

import atexit
import os
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

LIVE = hasattr(cv2.dnn, "readNetFromDarknet")
FILE = Path(__file__).with_name("opencv_references.npz")
MAKE = "SCANTLING_OPENCV_REFERENCES"  # the file to write
SAME = 1e-4  # of the largest value: two processors, or versions 4.x, are not further apart
made: dict[str, np.ndarray] = {}


@cache
def stored() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    with np.load(FILE) as file:
        return dict(file)


def read_reference(name: str, given: str) -> dict[str, np.ndarray]:
    """What OpenCV 4 made of this input, as it was kept.

    Args:
        name: of the reference.
        given: a fingerprint of the input.

    Raises:
        cv2.error: it could not.
    """
    known = {key[len(name) + 1 :]: stored()[key] for key in stored() if key.startswith(f"{name}|")}
    assert known, f"no reference of {name}: run tools/make_opencv_references.py"
    of = str(known.pop("given"))
    assert of == given, f"{name} is another input now: run tools/make_opencv_references.py"
    if not known:
        raise cv2.error("OpenCV 4 cannot read it")
    return known


def keep_reference(name: str, given: str, parts: dict[str, Any], *, same: bool = True) -> None:
    """Note what OpenCV 4 makes of an input, nothing if it cannot; or compare with what is noted.

    Args:
        name, given: as for `read_reference`.
        parts: what it makes of it.
        same: whether it is the same at each time.
    """
    if MAKE in os.environ:
        if not made:
            atexit.register(write)
        new = {"given": given, **parts}
        made.update({f"{name}|{part}": np.asarray(value) for part, value in new.items()})
        return
    if not same:  # it read values behind the end of a file
        return
    try:
        known = read_reference(name, given)
    except cv2.error:
        known = {}
    assert known.keys() == parts.keys(), name
    for part, value in known.items():
        least = np.finfo(np.float64).tiny if value.dtype.kind == "f" else 0
        most = SAME * np.abs(value).max() + least if least else 0
        assert np.abs(value - parts[part]).max() <= most, f"{name}: {part}"


def write() -> None:
    """Write what was noted, beside what the file has of others."""
    path = Path(os.environ[MAKE])
    before: dict[str, np.ndarray] = {}
    if path.exists():
        with np.load(path) as file:
            before = dict(file)
    np.savez_compressed(path, **(before | made))
