"""Where the files of a data set lie: what each format is known by, splits, lists and folders."""

import glob
import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from ...errors import InvalidData
from ..findings import Problems, data_error, shorten
from ..safe_text import read_text, read_yaml
from .files import Folders, Walk, find_image_folders, find_images, is_image
from .label_files import Listed
from .moved_paths import MovedPaths, split_path

MAX_LIST = 2**28  # bytes: millions of paths
FIXED = re.compile(r"([^*?\[/]*/)*")  # of a pattern: the folders in front of its first sign
MAX_ENTRY = 4_096  # letters of one; with several `**` in it, looking may take for ever
ROBOFLOW = "_annotations.coco.json"
KIND = re.compile(r"(instances|person_keypoints|captions|stuff|panoptic|image_info)_(.+)")
SPLITS = ("train", "val", "test")
YAML = (".yaml", ".yml")
OWN_NAMES = [[name] for name in ("train", "val", "valid", "test", "train.txt", "val.txt",
                                 "valid.txt", "test.txt")]  # fmt: skip
MAX_LOOKED_AT = 50  # such files in a folder, to find the one that names images


def find_json_files(source: Path) -> dict[str, Path]:
    """COCO: the JSON file of each split; the source, in its `annotations`, or as Roboflow."""
    if not source.is_dir():
        return {_split_of(source): source} if source.suffix.lower() == ".json" else {}
    found = sorted(path for path in (source / "annotations").glob("*.json"))
    instances = [path for path in found if path.name.startswith("instances_")]
    found = instances or [path for path in found if not KIND.fullmatch(path.stem)] or found
    found = found or sorted((*source.glob(ROBOFLOW), *source.glob(f"*/{ROBOFLOW}")))
    return {_split_of(path): path for path in found}


def _split_of(path: Path) -> str:
    if path.name == ROBOFLOW:
        return {"valid": "val"}.get(path.parent.name, path.parent.name)
    kind = KIND.fullmatch(path.stem)
    return kind[2] if kind else path.stem


def find_yaml(source: Path) -> Path | None:
    """YOLO: the `.yaml` that describes the data, the source itself or the only such file in it."""
    if source.suffix.lower() in YAML and not source.is_dir():
        return source
    if not source.is_dir():
        return None
    found = [path for path in list_yamls(source) if _describes_data(path)]
    return found[0] if len(found) == 1 else None


def list_yamls(folder: Path) -> list[Path]:
    """The first YAML files in a folder."""
    try:
        names = sorted(entry for entry in os.listdir(folder) if entry.lower().endswith(YAML))  # noqa: PTH208
        return [folder / name for name in names[:MAX_LOOKED_AT]]
    except OSError:
        return []


def _describes_data(path: Path) -> bool:
    """Whether a YAML file has a split or names; one that cannot be read may be meant too."""
    try:
        content, _ = read_yaml(path)
    except InvalidData:
        return path.stem.lower() in ("data", "dataset", "config")
    return isinstance(content, dict) and any(content.get(split) for split in SPLITS)


def find_data_file(source: Path) -> Path | None:
    """Darknet: the `.data` file, the source itself or the only one in it."""
    if not source.is_dir():
        return source if source.suffix.lower() == ".data" else None
    try:
        found = [path for path in source.iterdir() if path.suffix.lower() == ".data"]
    except OSError:
        return None
    return found[0] if len(found) == 1 else None


def find_voc_roots(source: Path) -> list[Path]:
    """Pascal VOC: the folders with annotations, the source or below, as in `VOCdevkit/VOC2007`."""
    if not source.is_dir():
        return []
    if (source / "Annotations").is_dir():
        return [source]
    below = (*source.glob("VOC*"), *source.glob("VOCdevkit/VOC*"))
    return sorted(path for path in below if (path / "Annotations").is_dir())


def choose_split(splits: Sequence[str], wanted: str | None, source: Path) -> str:
    """Choose a split by its name or a unique prefix of it.

    Where none is asked for: `val`, else `test`, else the only one there is.

    Raises:
        InvalidData: E106 there is no such split, or it is not clear which one is meant.
    """
    for name in ("val", "test") if wanted is None else (wanted,):
        begins = [split for split in splits if split.startswith(name)]
        if name in splits or len(begins) == 1:
            return name if name in splits else begins[0]
    if wanted is None and len(splits) == 1:
        return splits[0]
    known = ", ".join(splits)
    if wanted is None:
        raise data_error("E106", source, "has several splits", fix=f"Choose one of {known}")
    hint = get_close_matches(wanted, splits, n=1)
    problem = f"has no split {wanted!r}" + (f"; did you mean {hint[0]!r}?" if hint else "")
    raise data_error("E106", source, problem, fix=f"There are: {known or 'none'}")


def expand_entry(entry: str, bases: Sequence[Path], file: Path, *, line: int | None,
                 key: str, problems: Problems, walk: Walk) -> list[Listed]:  # fmt: skip
    """Expand a folder, `.txt` list, image path or glob pattern to images.

    Args:
        entry: a path, absolute or from one of the bases; what is there is taken literally.
        bases: folders to look in, in turn.
        file: where it is written; `line` in it, under `key`.
        walk: of the data set.

    Raises:
        InvalidData: E106 there is nothing of that name; E105 no image in it; as `read_list`.
    """
    fixed = FIXED.match(entry)[0]  # type: ignore[index]  # it may be empty
    climbs = ".." in entry[len(fixed) :].split("/") and glob.has_magic(entry)
    if "\0" in entry or len(entry) > MAX_ENTRY or entry.count("**") > 1 or climbs:
        problem = f"{key}: {shorten(entry)} is neither a path nor a pattern"
        raise data_error("E106", file, problem, line=line)
    for path in [os.path.join(base, entry) for base in bases]:  # noqa: PTH118
        if os.path.isdir(path):  # noqa: PTH112
            return _or_none([Listed(image, file, line) for image in find_images(Path(path), walk)],
                            Path(path), file, line)  # fmt: skip
        if os.path.exists(path):  # noqa: PTH110 - False for a name that no file can have
            if path.lower().endswith(".txt"):
                return read_list(Path(path), bases, problems)
            return [Listed(path, file, line)]
    if glob.has_magic(entry):
        for base in bases:
            path = os.path.join(glob.escape(str(base)), entry)  # noqa: PTH118
            walk.look_through(os.path.join(base, fixed))  # noqa: PTH118
            if matches := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207
                return _from_matches(matches, Path(path), file, line, walk)
    raise _not_there(entry, bases, file, line, key)


def find_moved_entry(
    entry: str, bases: Sequence[Path], file: Path, *, line: int | None, problems: Problems
) -> str | None:
    """The path of an entry that is not there as it is written, as `MovedPaths` finds it."""
    moved = MovedPaths(file, [str(base) for base in bases], Folders())
    # of one folder name alone nobody can tell that it is the one: `images` is everywhere
    found = moved.find(entry, line=line, fewest=1 if split_path(entry)[-1:] in OWN_NAMES else 2)
    moved.report(problems)
    return found


def read_list(path: Path, bases: Sequence[Path], problems: Problems) -> list[Listed]:
    """The images that a file names, one a line.

    A relative path is looked for from the list's folder, then from each base, then from the
    working folder, as darknet does; then as `MovedPaths` does; where it is nowhere, it stands for
    one beside the list.

    Raises:
        InvalidData: E101, E102, E230 the list cannot be read; E105 it names nothing, or nothing of
            what it names is there.
    """
    folders = Folders()
    places = [str(path.parent), *map(str, bases), ""]
    moved = MovedPaths(path, list(dict.fromkeys(places[:-1])), folders)
    listed: list[Listed] = []
    there = 0
    for number, raw in enumerate(read_text(path, max_bytes=MAX_LIST).split("\n"), start=1):
        name = raw.strip()
        if not name or name.startswith("#"):
            continue
        tries = [os.path.normpath(os.path.join(place, name)) for place in places]  # noqa: PTH118
        found = next((full for full in tries if folders.has(full)), None)
        found = found or moved.find(name, line=number)
        there += found is not None
        listed.append(Listed(found or tries[0], path, number))
    if not listed:
        raise data_error("E105", path, "names no images; expected a path a line")
    if not there:
        problem = f"none of its {len(listed):,} images is there, such as {listed[0].path!r}"
        raise data_error("E105", path, problem, fix="Correct the paths, or the folder they are in")
    moved.report(problems)
    return listed


def _from_matches(
    matches: list[str], pattern: Path, file: Path, line: int | None, walk: Walk
) -> list[Listed]:
    found: list[str] = []
    for match in matches:
        if os.path.isdir(match):  # noqa: PTH112
            found += find_images(Path(match), walk)
        elif is_image(os.path.basename(match)):  # noqa: PTH119
            found.append(match)
    return _or_none([Listed(image, file, line) for image in found], pattern, file, line)


def _or_none(images: list[Listed], where: Path, file: Path, line: int | None) -> list[Listed]:
    if not images:
        raise data_error("E105", file, f"there are no images in {str(where)!r}", line=line,
                         fix=_hint(where.parent, where.parent, "") or None)  # fmt: skip
    return images


def _not_there(
    entry: str, bases: Sequence[Path], file: Path, line: int | None, key: str
) -> Exception:
    looked = " and ".join(dict.fromkeys(repr(os.path.join(base, entry)) for base in bases))  # noqa: PTH118
    problem = f"{key}: {shorten(entry, length=200)} is not there; looked for {looked}"
    hint = next((text for base in bases if (text := _hint(base, base, key))), None)
    return data_error("E106", file, problem, line=line, fix=hint)


def _hint(base: Path, root: Path, key: str) -> str:
    """A hint where images were found, for an error message."""
    found = find_image_folders(base)
    if not found:
        return ""
    shown = ", ".join(repr(f"{folder.relative_to(root).as_posix()}/") for folder in found[:4])
    best = found[0].relative_to(root).as_posix()
    return f"Images lie in {shown}" + (f"; write `{key}: {best}`" if key else "")
