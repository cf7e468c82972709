"""Read detections from VOC text files, one per class, as darknet's `valid` writes too."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ..errors import InvalidData
from ..io import regular_size
from .coco_results import refuse_unknown
from .tables import DetectionTable, GroundTruth


def read_voc_results(files: Mapping[str, Path] | Path, truth: GroundTruth) -> DetectionTable:
    """Read VOC results: a text file per class, lines of `image score left top right bottom`.

    darknet's `valid` and the development kit write `comp4_det_test_<class>.txt`. Corners are
    counted from 1 and include the last pixel; the boxes given back end after it.

    Args:
        files: by class name; or the folder in which they are, named `…_<class>.txt`.
        truth: whose classes and images are meant.

    Raises:
        InvalidData: there is no such file, a line is none of this kind, or names an image that the
            data set lacks.
    """
    if isinstance(files, Path):
        files = _voc_files(files, truth.names)
    places = {str(image_id): place for place, image_id in enumerate(truth.image_ids)}
    lost: Counter[str] = Counter()
    numbers, index, labels = array("d"), array("q"), array("q")
    for name, path in files.items():
        if name not in truth.names:
            fix = f"Name one of {', '.join(truth.names[:20])}"
            raise InvalidData(str(path), f"the data set has no class {name!r}", fix)
        for line, (image, *values) in _voc_lines(path):
            place = places.get(image, places.get(image.lstrip("0") or "0"))
            if place is None:
                lost[image] += 1
            elif not all(map(math.isfinite, values)):
                raise InvalidData(f"{path}:{line}", "a number is not finite", "Correct the line")
            else:
                numbers.extend(values)
                index.append(place)
                labels.append(truth.names.index(name))
    refuse_unknown("VOC results", "image", lost)
    table = np.frombuffer(numbers, np.float64).reshape(-1, 5) if numbers else np.empty((0, 5))
    boxes = table[:, 1:].copy()
    boxes[:, :2] -= 1
    boxes[:, 2:] -= boxes[:, :2]
    return DetectionTable(
        boxes, table[:, 0].copy(), np.array(labels, np.int64), np.array(index, np.int64)
    )


def _voc_files(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Find the file of each class, named `…_<class>.txt`."""
    try:
        listed = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
    except OSError as error:
        raise InvalidData(
            str(folder), error.strerror or "cannot be read", "Name the folder of the results"
        ) from None
    found: dict[str, Path] = {}
    for path in listed:
        fitting = [name for name in names if path.stem == name or path.stem.endswith(f"_{name}")]
        if fitting:
            found[max(fitting, key=len)] = path
    if not found:
        fix = "Name them as darknet does, comp4_det_test_<class>.txt"
        raise InvalidData(str(folder), "no file is named for a class of the data set", fix)
    return found


def _voc_lines(path: Path) -> Iterator[tuple[int, tuple[str, float, float, float, float, float]]]:
    """Iterate over (line number, fields) of the lines that are not blank."""
    fix = "Write `image score left top right bottom`"
    try:
        regular_size(path)
        with path.open(encoding="utf-8") as file:
            number = 0
            while text := file.readline(65_536):
                number += 1
                fields = text.split()
                if not fields:
                    continue
                try:
                    image, score, left, top, right, bottom = fields
                    values = float(score), float(left), float(top), float(right), float(bottom)
                except ValueError:
                    raise InvalidData(f"{path}:{number}", "no line of results", fix) from None
                yield number, (image, *values)
    except OSError as error:
        raise InvalidData(str(path), error.strerror or "cannot be read", "Check the path") from None
    except UnicodeDecodeError:
        raise InvalidData(str(path), "it is not UTF-8 text", fix) from None
