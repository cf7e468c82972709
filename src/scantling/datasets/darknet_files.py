"""Darknet's small text files: `.names`, one class a line; `.data`, where to find what."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..errors import InvalidSource, InvalidValue, nearest_hint
from ..io import find_foreign, open_regular, split_lines, write_file

MAX_BYTES = 1 << 22
MAX_PATH = 1024  # letters

_PATHS = ("train", "valid", "names", "backup", "results", "labels", "map", "difficult")
_WORDS = ("classes", "eval", "top")
_WHEN_TO_SAVE = ("saveweights", "savelast")  # a run here saves by time: save_minutes


@dataclass(frozen=True)
class DataFile:
    """The content of a `.data` file; paths are resolved, missing keys are None.

    Attributes:
        classes: how many.
        train: list of training images.
        valid: list of validation images.
        names: class names.
        backup: folder for weights in training.
        results: folder for detections in validation.
        labels: class names of a classifier.
        map: class ids of another data set.
        difficult: list of images with objects that do not count.
        eval: protocol of evaluation: `voc`, `coco`, …
        top: classes that a classifier shows.
    """

    classes: int | None = None
    train: Path | None = None
    valid: Path | None = None
    names: Path | None = None
    backup: Path | None = None
    results: Path | None = None
    labels: Path | None = None
    map: Path | None = None
    difficult: Path | None = None
    eval: str | None = None
    top: int | None = None


def read_names(path: str | PathLike[str]) -> tuple[str, ...]:
    """The class names of a `.names` file, in the order of their labels.

    White space around a name does not count, empty lines at the end neither.

    Raises:
        InvalidSource: it cannot be read, holds no name, or an empty line between names, which
            would shift the labels of all that follow.
    """
    path = Path(path)
    lines = [line.strip() for line in _read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InvalidSource(str(path), "holds no class names; write one a line")
    if "" in lines:
        raise InvalidSource(
            str(path),
            f"line {lines.index('') + 1} is empty; remove it, or name the class that it stands for",
        )
    return tuple(lines)


def write_names(path: str | PathLike[str], names: tuple[str, ...]) -> None:
    """Write class names, one a line.

    Raises:
        InvalidValue: a name is empty, or would not come back as it is.
        InvalidSource: the file cannot be written.
    """
    for name in names:
        if not name or name != name.strip() or len(name.split("\n")) > 1 or "\r" in name:
            raise InvalidValue("class name", name, "one line without white space around it")
    _write(Path(path), [*names])


def read_data(path: str | PathLike[str]) -> DataFile:
    """Read a `.data` file.

    A relative path is taken from the working folder, as darknet does; where nothing is there, it is
    looked for from the folder of the `.data` file: whole, and without the folders in front, as
    tools write `data/train.txt` for what lies beside it. A backslash there is taken for a slash.

    Raises:
        InvalidSource: it cannot be read, or a line is not of the form key=value with a known key.
    """
    path = Path(path)
    found: dict[str, str] = {}
    for number, raw in enumerate(_read_lines(path), start=1):
        line = "".join(raw.split())  # darknet removes white space everywhere
        if not line or line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        known = (*_PATHS, *_WORDS, *_WHEN_TO_SAVE)
        if not equals or key not in known:
            raise InvalidSource(
                str(path),
                f"line {number}: {raw.strip()[:80]!r} sets none of {', '.join(known)}"
                f"{nearest_hint(key, known).rstrip('.')}",
            )
        found.setdefault(key, value)
    return DataFile(
        classes=_count(path, found, "classes"),
        top=_count(path, found, "top"),
        eval=found.get("eval"),
        **{key: _resolve(found[key], path.parent) for key in _PATHS if found.get(key)},
    )


def write_data(path: str | PathLike[str], data: DataFile) -> None:
    """Write a `.data` file; what is None is left out.

    Raises:
        InvalidValue: a path holds white space, which darknet would remove.
        InvalidSource: the file cannot be written.
    """
    lines = []
    for key in ("classes", *_PATHS, "eval", "top"):
        value = getattr(data, key)
        if value is None:
            continue
        text = value.as_posix() if isinstance(value, Path) else str(value)
        if text != "".join(text.split()):
            raise InvalidValue(key, text, "a path without white space: darknet removes it")
        lines.append(f"{key} = {text}")
    _write(Path(path), lines)


def _resolve(text: str, folder: Path) -> Path:
    found = (path for path in places_of(text, folder) if exists(path))
    return next(found, Path(text))


def places_of(text: str, folder: Path) -> tuple[Path, ...]:
    """Where a path of a `.data` file in a folder is looked for, in turn."""
    if len(text) > MAX_PATH:  # each end of it would be looked for
        return (Path(text),)
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
    near = [part for part in parts if part != ".."]
    beside = (folder.joinpath(*near[place:]) for place in range(len(near)))
    return tuple(dict.fromkeys((Path(text), folder / text, folder.joinpath(*parts), *beside)))


def exists(path: Path) -> bool:
    """Whether there is something at a path, whatever is in its name."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _count(path: Path, found: dict[str, str], key: str) -> int | None:
    if key not in found:
        return None
    digits = found[key].partition("#")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9 and int(digits) > 0):
        raise InvalidSource(str(path), f"{key}={found[key][:40]} is not a positive whole number")
    return int(digits)


def _read_lines(path: Path) -> list[str]:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSource(str(path), f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise InvalidSource(str(path), f"is larger than {MAX_BYTES} bytes")
    foreign = find_foreign(data)
    if foreign is not None:
        raise InvalidSource(str(path), f"is {foreign}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSource(str(path), f"is not UTF-8 text ({error.reason})") from error
    return split_lines(text)


def _write(path: Path, lines: list[str]) -> None:
    write_file(path, "".join(f"{line}\n" for line in lines))


def find_names_file(path: Path) -> Path:
    """Path of the names file: the one that a darknet `.data` file names, or `path` itself."""
    if path.suffix != ".data":
        return path
    data = read_data(path)
    found = data.names or data.labels  # as darknet's Python module reads it
    if found is None:
        raise InvalidValue(str(path), "without a line names=…", "the path of a .names file in it")
    return found
