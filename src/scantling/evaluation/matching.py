"""One assignment of detections to objects, the best scores first: what curves are drawn from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..structures import IntArray
from .found import Found
from .pairs import Pairs, first_come, overlapping_pairs
from .truth import Truth

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matching:
    """What became of every detection, and so of every object. D detections, T objects.

    Leaving out the detections below a score changes nothing for the others.

    Args:
        object_of: (D,) the place in Truth of the object that a detection found; -1 for none.
        ignored: (D,) whether it counts neither as right nor as wrong: it lies on a crowd, or on a
            difficult object.
        iou: the threshold.
    """

    object_of: IntArray
    ignored: Flags
    iou: float

    @property
    def right(self) -> Flags:
        """(D,) whether a detection found an object."""
        return self.object_of >= 0

    @property
    def wrong(self) -> Flags:
        """(D,) whether a detection is a false alarm."""
        return (self.object_of < 0) & ~self.ignored


def match(truth: Truth, found: Found, *, iou: float = 0.5, any_class: bool = False) -> Matching:
    """Give every detection, best score first, the object it overlaps most of those still free.

    This is COCO's rule for one threshold and no limit of detections. Crowds and difficult objects
    are nobody's to find: a detection that finds nothing else and overlaps one is ignored.

    Args:
        truth: what is labelled.
        found: what was detected.
        iou: a pair needs at least this.
        any_class: whether an object of another class will do.
    """
    # COCO's own limit: two equal boxes may come out a little under 1
    pairs = overlapping_pairs(truth, found, min_iou=min(iou, 1 - 1e-10), any_class=any_class)
    real = ~truth.ignored[pairs.truth]
    regular = pairs.take(real)
    # at equal IoU COCO takes the last object
    order = np.lexsort((-regular.truth, -regular.iou, regular.found, -found.scores[regular.found]))
    return assigned(len(found), regular.take(order), beside=pairs.take(~real), iou=iou)


def assigned(count: int, ranked: Pairs, *, beside: Pairs, iou: float) -> Matching:
    """The greedy one-to-one assignment over ranked pairs.

    Args:
        count: of detections, D.
        ranked: pairs with objects that count, those to be kept first at the front.
        beside: pairs with objects that do not count.
        iou: the threshold that the pairs passed.
    """
    kept = ranked.take(first_come(ranked))
    object_of = np.full(count, -1, np.int64)
    object_of[kept.found] = kept.truth
    ignored = np.zeros(count, np.bool_)
    ignored[beside.found] = True
    return Matching(object_of, ignored & (object_of < 0), iou)
