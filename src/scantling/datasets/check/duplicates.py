"""Find duplicate images, exact or near, and duplicates whose labels differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset import Dataset
from ..findings import Finding
from ..fingerprints import near_pairs
from ..image_info import ImageInfo

# Bits of 64 in which the hashes of two images may differ and the two still be called near. Of 150
# photographs scaled to half or recompressed at quality 40, none moved by more than 2 bits; with a
# fiftieth of two sides cut off, nine in ten moved by 6 at most. Unrelated images differ by 32, and
# by 6 or less once in 10¹¹ pairs if bits were tossed.
NEAR_BITS = 6
# Pairs that are looked at, 32 MiB of them. Only thousands of frames of one scene make more.
MAX_PAIRS = 2_000_000
# Labels of two copies are the same where every box has a partner this near, in pixels: formats
# round to whole pixels, or to six digits of a share.
SAME_PIXELS = 1.0


@dataclass(frozen=True)
class _Place:
    """An image of one of the splits."""

    split: int
    index: int
    path: Path


def without_unions(datasets: Sequence[Dataset]) -> list[Dataset]:
    """The splits without those that are made up of others, as VOC's `trainval` is.

    What is in such a split is in another one by intent.
    """
    paths = [frozenset(image.path for image in dataset.images) for dataset in datasets]
    kept = []
    for dataset, own in zip(datasets, paths, strict=True):
        within = [other for other in paths if other and other < own]
        if len(within) < 2 or frozenset().union(*within) != own:
            kept.append(dataset)
    return kept


def find_duplicates(
    datasets: Sequence[Dataset], infos: Mapping[Path, ImageInfo]
) -> tuple[dict[Finding, Path], bool]:
    """Find every image that duplicates an earlier one, in its split or in another.

    Each image is reported once, with the first that it repeats: in another split where there is
    one, for that makes an evaluation worthless.

    Args:
        datasets: the splits.
        infos: of their images; one without, or damaged, repeats nothing.

    Returns:
        The findings, each with the other image of the pair, and whether all pairs were looked at.
    """
    places = [
        _Place(split, index, image.path)
        for split, dataset in enumerate(datasets)
        for index, image in enumerate(dataset.images)
        if image.path in infos and not infos[image.path].code
    ]
    by_content: dict[str, list[_Place]] = {}
    for place in places:
        by_content.setdefault(infos[place.path].digest, []).append(place)
    found: dict[Finding, Path] = {}
    for group in by_content.values():
        found.update(_repeats_of(datasets, group, exact=True))
        found.update(_disagreements(datasets, group))
    firsts = [group[0] for group in by_content.values()]
    near, is_complete = _find_near(datasets, firsts, infos)
    return {**found, **near}, is_complete


def _repeats_of(
    datasets: Sequence[Dataset], group: Sequence[_Place], *, exact: bool
) -> Iterator[tuple[Finding, Path]]:
    """One finding for each image of a group of duplicates but the first."""
    first_of: dict[int, _Place] = {}
    for place in group:
        elsewhere = [one for split, one in first_of.items() if split != place.split]
        same = first_of.setdefault(place.split, place)
        if elsewhere:
            yield _tell(datasets, place, elsewhere[0], exact=exact)
        elif same is not place and same.path != place.path:  # twice by one name is the reader's
            yield _tell(datasets, place, same, exact=exact)


def _tell(
    datasets: Sequence[Dataset], place: _Place, other: _Place, *, exact: bool
) -> tuple[Finding, Path]:
    split, other_split = datasets[place.split].split, datasets[other.split].split
    crosses = place.split != other.split
    code = ("E401" if crosses else "W402") if exact else ("W403" if crosses else "W404")
    where = f"in {other_split}, and this one in {split}" if crosses else f"in {split} too"
    what = "the same content" if exact else "nearly the same looks"
    return Finding(code, f"{other.path} has {what}; it is {where}", place.path, image=place.path), (
        other.path
    )


def _disagreements(
    datasets: Sequence[Dataset], group: Sequence[_Place]
) -> Iterator[tuple[Finding, Path]]:
    """Find duplicates whose labels differ from those of the first."""
    for place in group[1:]:
        difference = _compare_labels(datasets, group[0], place)
        if difference:
            file = datasets[place.split].images[place.index].label_file or place.path
            message = f"it labels the same image as {group[0].path}, but {difference}"
            yield Finding("W405", message, file, image=place.path), group[0].path


def _compare_labels(datasets: Sequence[Dataset], first: _Place, second: _Place) -> str:
    """Describe how the labels of two duplicates differ; empty where they do not."""
    tables = []
    for place in (first, second):
        dataset = datasets[place.split]
        objects = dataset.objects_of(place.index)
        tables.append((objects.boxes, np.array(dataset.names)[objects.labels]))
    (boxes, names), (other_boxes, other_names) = tables
    if len(boxes) != len(other_boxes):
        return f"with {len(other_boxes)} objects instead of {len(boxes)}"
    apart = np.abs(boxes[:, None] - other_boxes[None]).max(axis=2, initial=0)
    near = (apart <= SAME_PIXELS) & (names[:, None] == other_names[None])
    missing = ~near.any(axis=0)
    if missing.any():
        return f"{int(missing.sum())} of {len(boxes)} objects are elsewhere or of another class"
    return ""


def _find_near(
    datasets: Sequence[Dataset], places: Sequence[_Place], infos: Mapping[Path, ImageInfo]
) -> tuple[dict[Finding, Path], bool]:
    """Find near-duplicates: images of other bytes whose perceptual hashes are close."""
    by_hash: dict[int, list[_Place]] = {}
    for place in places:
        image_hash = infos[place.path].perceptual_hash
        if image_hash is not None:
            by_hash.setdefault(image_hash, []).append(place)
    found: dict[Finding, Path] = {}
    for group in by_hash.values():
        found.update(_repeats_of(datasets, group, exact=False))
    hashes = np.array(list(by_hash), np.uint64)
    firsts = [group[0] for group in by_hash.values()]
    splits = np.array([place.split for place in firsts])
    pairs = near_pairs(hashes, distance=NEAR_BITS, limit=MAX_PAIRS)
    if len(pairs):
        # For each later image one pair: with another split's image first, then the earliest.
        crosses = splits[pairs[:, 0]] != splits[pairs[:, 1]]
        pairs = pairs[np.lexsort((pairs[:, 0], ~crosses, pairs[:, 1]))]
        _, chosen = np.unique(pairs[:, 1], return_index=True)
        for first, second in pairs[chosen].tolist():
            found.update([_tell(datasets, firsts[second], firsts[first], exact=False)])
    return found, len(pairs) < MAX_PAIRS
