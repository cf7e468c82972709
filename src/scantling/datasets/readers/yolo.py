"""YOLO data sets: a `data.yaml` that names folders of images, with a label file for each."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import InvalidData, nearest_hint
from ..dataset import Dataset
from ..findings import Problems, data_error, shorten
from ..safe_text import read_yaml
from .files import HeaderReader, Walk
from .label_files import TextDataset, read_text_dataset
from .label_text import Grammar
from .layout import SPLITS, expand_entry, find_moved_entry, find_yaml, list_yamls
from .no_index import find_plain_folder, list_images, read_class_names
from .table import check_names

# Keys that others write and read; `download`, which may hold a script, is never run.
IGNORED = frozenset(
    ("download", "roboflow", "version", "description", "license", "author", "url", "channels",
     "task", "kpt_shape", "flip_idx", "minival", "kpt_names", "date")
)  # fmt: skip
KEYS = frozenset((*SPLITS, "path", "names", "nc"))


def list_splits(source: Path) -> tuple[str, ...]:
    """Which of train, val and test the file names; those of a folder without one."""
    plain = find_plain_folder(source)
    if plain is not None:
        return tuple(plain.splits)
    content, _ = _read(_yaml_of(source))
    return tuple(split for split in SPLITS if content.get(split))


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read one split.

    Raises:
        InvalidData: the file cannot be used, or what it names is not there.
    """
    plain = find_plain_folder(source)
    grammar = Grammar(polygons=True, track=False)
    if plain is not None:
        names = read_class_names(plain, problems)
        listed = list_images(plain, split, problems)
        data = TextDataset(source, "yolo", split, names, listed, grammar)
        return read_text_dataset(data, problems, reader)
    file = _yaml_of(source)
    content, lines = _read(file)
    names = check_names(_names(content.get("names"), file, lines), file, problems=problems)
    _check_count(content.get("nc"), len(names), file, lines, problems)
    for key in content:
        if key not in KEYS | IGNORED:
            message = f"{shorten(key)} is no key of a data set.{nearest_hint(key, KEYS)}"
            problems.add("W111", message.rstrip("."), file, line=lines.get(key))
    bases = _bases(content.get("path", ""), file, lines, problems)
    value = content[split]
    entries = value if isinstance(value, list) else [value]
    listed, walk = [], Walk()
    for entry in entries:
        if not isinstance(entry, str) or not entry:
            problem = f"{split} is {shorten(entry)}; expected a folder, list, pattern, or several"
            raise data_error("E103", file, problem, line=lines.get(split))
        listed += _expand(entry, bases, file, lines.get(split), split, problems, walk)
    return read_text_dataset(
        TextDataset(source, "yolo", split, names, listed, grammar), problems, reader
    )


def _expand(
    entry: str,
    bases: list[Path],
    file: Path,
    line: int | None,
    split: str,
    problems: Problems,
    walk: Walk,
) -> list[Any]:
    inner = entry.removeprefix("../")  # Roboflow writes ../train/images for train/images
    places: dict[str, Any] = {"line": line, "key": split, "problems": problems, "walk": walk}
    try:
        return expand_entry(entry, bases, file, **places)
    except InvalidData as error:
        if inner != entry:
            with suppress(InvalidData):
                return expand_entry(inner, bases, file, **places)
        if error.findings[0].code != "E106":  # it is there, but there is nothing in it
            raise
        found = find_moved_entry(entry, bases, file, line=line, problems=problems)
        if found is None:
            raise
    return expand_entry(found, [Path()], file, **places)


def _yaml_of(source: Path) -> Path:
    file = find_yaml(source)
    if file is None:
        found = ", ".join(path.name for path in list_yamls(source)) or "no .yaml file"
        problem = f"no one file describes the data; there is: {found}"
        raise data_error("E110", source, problem, fix="Give the path of the data.yaml")
    return file


def _read(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    content, lines = read_yaml(file)
    if not isinstance(content, dict):
        raise data_error("E103", file, "is no mapping; expected keys such as `val` and `names`")
    if not any(content.get(split) for split in SPLITS):
        problem = "names no images: none of train, val and test is given"
        raise data_error("E110", file, problem, fix="Write `val: ` and a folder of images")
    return content, lines


def _names(value: Any, file: Path, lines: dict[str, int]) -> list[str]:
    """The class names of a list, or of a mapping from 0, 1, 2, …"""
    line = lines.get("names")
    if not value:
        problem = "names no classes: `names` is missing or empty"
        raise data_error("E110", file, problem, line=line, fix="Write `names: [cat, dog]`")
    if isinstance(value, dict):
        try:
            short = {key: name for key, name in value.items() if key.isascii() and len(key) < 19}
            by_id = {int(key): name for key, name in short.items()}
        except ValueError:
            by_id = {}
        if len(by_id) != len(value):
            problem = "the keys of `names` are not class ids; expected 0, 1, 2, …"
            raise data_error("E103", file, problem, line=line)
        missing = next(place for place in range(len(by_id) + 1) if place not in by_id)
        if missing < len(by_id):
            highest = max(by_id)
            problem = f"class {missing} is not named, but class {highest} is"
            raise data_error("E108", file, problem, line=line)
        value = [by_id[place] for place in range(len(by_id))]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        problem = f"names is {shorten(value)}; expected a list, or a mapping from 0"
        raise data_error("E103", file, problem, line=line)
    return value


def _check_count(
    value: Any, names: int, file: Path, lines: dict[str, int], problems: Problems
) -> None:
    if value in (None, ""):
        return
    if not isinstance(value, str) or value.strip() != str(names):
        message = f"nc is {shorten(value)}, but {names} classes are named"
        problems.add("E109", message, file, line=lines.get("nc"))


def _bases(value: Any, file: Path, lines: dict[str, int], problems: Problems) -> list[Path]:
    """Where the splits are looked for: in `path`, from the file's folder, and in that folder.

    W116 where `path` is not there, so that another copy of the data than it names may be read.
    """
    if not isinstance(value, str):
        raise data_error("E103", file, "path is no text", line=lines.get("path"))
    named = file.parent / value
    try:
        there = named.is_dir()
    except (OSError, ValueError):  # a name that no folder can have
        there = False
    if not there:
        shown = shorten(value, length=200)
        message = f"path: {shown} is not there; {str(file.parent)!r} is read instead"
        problems.add("W116", message, file, line=lines.get("path"))
    return list(dict.fromkeys((named, file.parent)))
