"""Pascal VOC data sets: an XML file for each image, and lists of the images of each split."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InvalidData, nearest_hint
from ..dataset import Dataset, LabelledImage
from ..findings import Problems, data_error, shorten
from ..safe_text import read_text
from .files import Folders, HeaderReader, is_image, name_images, read_size
from .layout import find_voc_roots
from .table import check_boxes, check_names, make_table, read_names_file
from .voc_file import VocFile, VocObject, read_voc_file

ALL = "all"  # the one split of a data set without lists
CLASS_FILES = ("classes.txt", "labels.txt", "obj.names")
MAX_LIST = 2**26  # bytes

_PER_CLASS = re.compile(r".+_(train|val|trainval|test)")


@dataclass(frozen=True)
class SplitEntry:
    """An image of a split, and where it is listed."""

    stem: str
    file: Path
    line: int | None


def list_splits(source: Path) -> tuple[str, ...]:
    """Names of the lists in `ImageSets/Main`, without those of one class; else `all`."""
    stems = sorted(path.stem for path in (_root(source) / "ImageSets" / "Main").glob("*.txt"))
    found = tuple(
        stem for stem in stems if not ((m := _PER_CLASS.fullmatch(stem)) and m[1] in stems)
    )
    return found or (ALL,)


def read(source: Path, split: str, *, problems: Problems, reader: HeaderReader) -> Dataset:
    """Read one split. The labels are those of the whole data set, whichever split is read.

    Raises:
        InvalidData: there is no image, a list cannot be read, or the class names cannot be used.
    """
    root = _root(source)
    folders = Folders()
    pictures = {
        Path(name).stem: name
        for name in sorted(folders.names(str(root / "JPEGImages")), reverse=True)
        if is_image(name)
    }
    if not pictures:
        raise data_error("E110", root, "has no folder JPEGImages with images in it")
    stems = _find_annotations(root, folders, pictures)
    rows = _rows(root, split, sorted(stems.keys() | pictures.keys()), pictures, problems)
    files = _read_files(root, stems, {row.stem for row in rows}, problems)
    names = _find_names(root, files, problems)
    images, kept = _read_images(root, rows, pictures, stems, files, problems, reader)
    for stem in sorted(stems.keys() - pictures.keys() - {row.stem for row in rows}):
        problems.add("W220", "there is no image of its name", stems[stem])
    return _assemble(source, split, names, images, kept, problems)


def _root(source: Path) -> Path:
    roots = find_voc_roots(source)
    if len(roots) == 1:
        return roots[0]
    shown = ", ".join(path.name for path in roots[:20])
    problem = f"holds several data sets: {shown}" if roots else "has no folder Annotations"
    fix = "Give the path of one of them" if roots else "Give the folder that holds Annotations"
    raise data_error("E110", source, problem, fix=fix)


def _find_annotations(root: Path, folders: Folders, pictures: dict[str, str]) -> dict[str, Path]:
    """The annotation files by the stem of their images, whose letters may be of another case."""
    folder = root / "Annotations"
    found: dict[str, Path] = {}
    others: list[str] = []
    for name in sorted(folders.names(str(folder))):
        if name.lower().endswith(".xml"):
            found[name[:-4]] = folder / name
            others += [name[:-4]] if name[:-4] not in pictures else []
    spelt = {stem.lower(): stem for stem in pictures if stem not in found}
    for stem in others:
        if stem.lower() in spelt:
            found[spelt.pop(stem.lower())] = found.pop(stem)
    return dict(sorted(found.items()))


def _rows(
    root: Path, split: str, everything: list[str], pictures: dict[str, str], problems: Problems
) -> list[SplitEntry]:
    """The images of a split; of a data set without lists, all images."""
    file = root / "ImageSets" / "Main" / f"{split}.txt"
    if split == ALL and not file.exists():
        folder = root / "Annotations"
        return [SplitEntry(stem, folder, None) for stem in everything if stem in pictures]
    found: dict[str, SplitEntry] = {}
    known = set(everything)
    paths: list[tuple[str, int]] = []
    for number, text in enumerate(read_text(file, max_bytes=MAX_LIST).split("\n"), start=1):
        stem = text.strip()
        if stem not in pictures and len(stem.split()) == 2 and stem.split()[1] in ("1", "0", "-1"):
            stem = stem.split()[0]
        if not stem:
            continue
        if stem not in known and (inner := _stem_of_path(stem)) in known:
            paths.append((stem, number))
            stem = inner
        elif Path(stem).name != stem:
            message = f"{shorten(stem)} is a path; expected a name without folder and suffix"
            problems.add("E104", message, file, line=number)
            continue
        if stem in found:
            message = f"{shorten(stem)} is there already on line {found[stem].line}"
            problems.add("W114", message, file, line=number)
            continue
        found[stem] = SplitEntry(stem, file, number)
    if not found:
        raise data_error("E105", file, "names no images; expected a name a line")
    if paths:
        written, number = paths[0]
        more = f", and {len(paths) - 1:,} more like it" if len(paths) > 1 else ""
        message = f"{shorten(written)} is read as {_stem_of_path(written)!r}{more}"
        problems.add("W116", message, file, line=number)
    return list(found.values())


def _stem_of_path(text: str) -> str:
    """The name that is meant where a list has paths, or names with the suffix of an image."""
    name = re.split(r"[\\/]", text)[-1]
    return Path(name).stem if name and is_image(name) else name


def _read_files(
    root: Path, stems: dict[str, Path], wanted: set[str], problems: Problems
) -> dict[str, VocFile | None]:
    """Annotations by stem, None for one that cannot be read; all are needed for the names."""
    files: dict[str, VocFile | None] = {}
    with_names = any((root / name).is_file() for name in CLASS_FILES)
    for stem, path in stems.items():
        if with_names and stem not in wanted:
            continue
        try:
            files[stem] = read_voc_file(path)
        except InvalidData as error:
            files[stem] = None
            if stem in wanted:
                problems.add_error(error)
    return files


def _find_names(
    root: Path, files: dict[str, VocFile | None], problems: Problems
) -> tuple[str, ...]:
    for name in CLASS_FILES:
        if (root / name).is_file():
            return read_names_file(root / name, problems=problems)
    names = {name for file in files.values() if file for name in file.names}
    return check_names(sorted(names), root / "Annotations", problems=problems)


def _read_images(
    root: Path,
    rows: list[SplitEntry],
    pictures: dict[str, str],
    stems: dict[str, Path],
    files: dict[str, VocFile | None],
    problems: Problems,
    reader: HeaderReader,
) -> tuple[list[LabelledImage], list[list[VocObject]]]:
    images, kept = [], []
    ids = name_images([row.stem for row in rows])
    for row, image_id in zip(rows, ids, strict=True):
        path = root / "JPEGImages" / pictures.get(row.stem, f"{row.stem}.jpg")
        label_file = stems.get(row.stem, root / "Annotations" / f"{row.stem}.xml")
        there = row.stem in pictures
        if not there:
            problems.add("E301", f"{path.name} is not in JPEGImages", row.file, line=row.line,
                         image=path)  # fmt: skip
        file = files.get(row.stem)
        size = file.size if file else None
        if size is None and there:
            size = read_size(path, problems, reader, file=row.file, line=row.line)
        if row.stem not in files:
            problems.add("W219", "is not there: no objects are read", label_file, image=path)
        if file:
            _report(file, label_file, path, problems)
        images.append(
            LabelledImage(path, image_id, size, label_file if row.stem in files else None)
        )
        kept.append(file.objects if file else [])
    return images, kept


def _report(file: VocFile, path: Path, image: Path, problems: Problems) -> None:
    """Add the findings of one annotation file of the split."""
    for code, message, line in file.faults:
        problems.add(code, message, path, line=line, image=image)
    given = re.split(r"[\\/]", file.filename)[-1]
    if given and path.stem not in (given, Path(given).stem):
        message = f"its filename is {shorten(given)}; expected {image.name!r}"
        problems.add("W226", message, path, image=image)
    if not file.count:
        problems.add("W221", "has no objects", path, image=image)


def _assemble(
    source: Path,
    split: str,
    names: tuple[str, ...],
    images: list[LabelledImage],
    kept: list[list[VocObject]],
    problems: Problems,
) -> Dataset:
    labels = {name: label for label, name in enumerate(names)}
    known: list[tuple[int, VocObject]] = []
    for index, item in _flatten(kept):
        if item.name in labels:
            known.append((index, item))
            continue
        message = f"there is no class {shorten(item.name)}.{nearest_hint(item.name, names)}"
        problems.add("E206", message.rstrip("."), images[index].label_file or images[index].path,
                     line=item.line, image=images[index].path)  # fmt: skip
    corners = np.array([item.corners for _, item in known], np.float64).reshape(-1, 4)
    table = make_table(
        corners - (1, 1, 0, 0),  # from 1 and the last pixel included → edges from 0
        np.array([labels[item.name] for _, item in known], np.int64),
        np.array([index for index, _ in known], np.int64),
        difficult=np.array([item.difficult for _, item in known], np.bool_),
        marks=np.array([item.line for _, item in known], np.int64),
    )

    def locate(row: int) -> tuple[Path, int | None, str]:
        image = images[int(table.image_index[row])]
        return image.label_file or image.path, int(table.marks[row]), ""

    usable = check_boxes(
        table, tuple(images), problems=problems, locate=locate, names=names, lowest=-1
    )
    return Dataset(
        source, "voc", split, names, tuple(range(len(names))), tuple(images),
        usable.to_objects(), problems.result(),
    )  # fmt: skip


def _flatten(kept: list[list[VocObject]]) -> Iterator[tuple[int, VocObject]]:
    for index, items in enumerate(kept):
        for item in items:
            yield index, item
