"""The values that writers take and return: the data set to write, and what was dropped from it."""

from dataclasses import dataclass

import numpy as np

from ..dataset import Columns, LabelledImage, Objects


@dataclass(frozen=True)
class Dropped:
    """Something of the source that the written data set does not hold.

    Args:
        what: what is dropped, in the plural.
        count: how many; None where the reader did not count them.
        note: why, and what stands in its place.
    """

    what: str
    count: int | None
    note: str

    def __str__(self) -> str:
        count = "" if self.count is None else f" ({self.count:,})"
        return f"{self.what}{count}: {self.note}"


@dataclass(frozen=True, eq=False)
class SplitPlan:
    """One split prepared for writing.

    Args:
        name: safe as that of a file.
        images: those whose file is there and whose size is known.
        objects: theirs; labels are places in the names of the plan.
    """

    name: str
    images: tuple[LabelledImage, ...]
    objects: Objects

    def sizes(self) -> Columns:
        """(T, 4) width, height, width, height of the image of each object."""
        pairs = [image.size for image in self.images if image.size is not None]
        table = np.array(pairs, np.float64).reshape(-1, 2)[:, ::-1]
        return np.tile(table, 2)[self.objects.image_index]

    def bounds(self) -> list[int]:
        """Where the objects of each image begin, and at the end where the last ones end."""
        places = np.arange(len(self.images) + 1)
        return [int(place) for place in np.searchsorted(self.objects.image_index, places)]


@dataclass(frozen=True, eq=False)
class WritePlan:
    """A data set prepared for writing, and what was dropped so far.

    Args:
        name: what its files may be called by.
        names: of the classes of all splits.
        category_ids: those of COCO where the source had them, else from 1.
        splits: its splits.
        dropped: what is not in it.
    """

    name: str
    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    splits: tuple[SplitPlan, ...]
    dropped: tuple[Dropped, ...]
