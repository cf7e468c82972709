"""Place images in the folder of a data set: choose names, link or copy."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from ...images.headers import is_image_suffix
from .values import Dropped, SplitPlan

ImageMode = Literal["link", "copy", "symlink"]
# How images get into the new folder, and what it means to whoever has the old one.
IMAGE_MODES: dict[str, str] = {
    "link": "hard links: no space is taken; where the file system cannot, copies",
    "copy": "copies",
    "symlink": "symbolic links to the files of the source",
}
LONGEST = 100  # letters; file systems allow 255 bytes, a letter takes up to four


def name_files(
    splits: Sequence[SplitPlan], *, one_folder: bool, spaces: bool = True
) -> tuple[tuple[tuple[str, ...], ...], list[Dropped]]:
    """Choose a file name for each image; two have the same stem only if they are one file.

    An image keeps its name unless another in the same folder has it, whatever their suffixes, or
    letters in it would break a list of names.

    Args:
        splits: the splits.
        one_folder: whether the images of all splits lie in one folder.
        spaces: whether a name may hold white space.
    """
    renamed, named = 0, []
    taken: dict[str, Path] = {}
    for split in splits:
        if not one_folder:
            taken = {}
        names = []
        for image in split.images:
            stem, suffix = _clean(image.path, spaces=spaces)
            tries = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
            free = next(
                name for name in tries if taken.get(name.casefold(), image.path) == image.path
            )
            taken[free.casefold()] = image.path
            names.append(free + suffix)
            renamed += free + suffix != image.path.name
        named.append(tuple(names))
    note = "another image has the name, or it holds what breaks a list; they got new ones"
    return tuple(named), [Dropped("file names", renamed, note)] if renamed else []


def place_images(
    split: SplitPlan,
    names: Sequence[str],
    folder: Path,
    *,
    images: ImageMode,
    advance: Callable[[], None],
) -> None:
    """Put the images of a split into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for image, name in zip(split.images, names, strict=True):
        target = folder / name
        if not target.exists():  # an image may be in two splits of one folder
            _place(image.path.resolve(), target, images)
        advance()


def _place(source: Path, target: Path, images: ImageMode) -> None:
    if images == "symlink":
        target.symlink_to(source)
        return
    if images == "link":
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            pass
        else:
            return
    shutil.copyfile(source, target)


def _clean(path: Path, *, spaces: bool) -> tuple[str, str]:
    """Stem and suffix of a file name, without what cannot stand in a line of UTF-8."""
    suffix = path.suffix if is_image_suffix(path.suffix.lower()) else ""
    stem = path.name.removesuffix(suffix)
    stem = "".join(letter if letter.isprintable() else "_" for letter in stem).strip()
    if stem[:1] in ("", ".", "#"):  # hidden, or a remark in a list
        stem = f"_{stem}"
    if not spaces:
        stem = re.sub(r"\s+", "_", stem)
    return stem[:LONGEST], suffix or ".jpg"
