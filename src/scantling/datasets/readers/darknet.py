"""Darknet data sets: a `.data` file that names lists of images and a file of class names."""

from pathlib import Path

from ...errors import InvalidSource
from ..darknet_files import DataFile, exists, places_of, read_data
from ..dataset import Dataset
from ..findings import Problems, data_error
from ..safe_text import read_text
from .files import HeaderReader
from .label_files import TextDataset, read_text_dataset
from .label_text import Grammar
from .layout import find_data_file, read_list
from .table import read_names_file

MAX_BYTES = 2**22


def list_splits(source: Path) -> tuple[str, ...]:
    """`train` and `val`, which the file calls `valid`, as far as it names them."""
    data = _read(source)[1]
    return tuple(
        split for split, path in (("train", data.train), ("val", data.valid)) if path is not None
    )


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read one split.

    Raises:
        InvalidData: the file cannot be used, or what it names is not there.
    """
    file, data = _read(source)
    if data.names is None:
        problem = "names no classes: `names` is missing"
        raise data_error("E110", file, problem, fix="Write `names = FILE`, with one class a line")
    names = read_names_file(_there("names", data.names, file), problems=problems)
    if data.classes not in (None, len(names)):
        message = f"classes = {data.classes}, but {data.names.name} names {len(names)}"
        problems.add("E109", message, file)
    images = data.train if split == "train" else data.valid
    key = "train" if split == "train" else "valid"
    if images is None:
        problem = f"{key} is not there"
        raise data_error("E106", file, problem, fix="Name the list of images, one path a line")
    grammar = Grammar(polygons=False, track=True)
    listed = read_list(_there(key, images, file), (file.parent,), problems)
    return read_text_dataset(
        TextDataset(source, "darknet", split, names, listed, grammar), problems, reader
    )


def _there(key: str, path: Path, file: Path) -> Path:
    """A path of a `.data` file.

    Raises:
        InvalidData: E101 or E106, it is not there; says everywhere that it was looked for.
    """
    if exists(path):
        return path
    looked = " and ".join(repr(str(place)) for place in places_of(str(path), file.parent))
    problem = f"{key} = {str(path)!r} is not there; looked for {looked}"
    code = "E101" if key == "names" else "E106"
    raise data_error(code, file, problem, fix="Correct the path, or put the file there")


def _read(source: Path) -> tuple[Path, DataFile]:
    file = find_data_file(source)
    if file is None:
        raise data_error("E110", source, "there is no one .data file", fix="Give its path")
    read_text(file, max_bytes=MAX_BYTES)  # says by its code what `read_data` would only say
    try:
        return file, read_data(file)
    except InvalidSource as error:
        raise data_error("E103", file, error.problem) from error
