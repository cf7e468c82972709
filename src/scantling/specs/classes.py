"""Class names: those of COCO, and which of them two lists share.

Source: https://cocodataset.org; the older spellings: darknet's `coco.names`, in the public domain.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidValue

if TYPE_CHECKING:
    from .schema import CfgSpec, ModelSpec

COCO_NAMES = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)
# Other spellings of the same class, in darknet's files and in Pascal VOC.
ALIASES = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
_DARKNET = {name: alias for alias, name in ALIASES.items()}
DARKNET_COCO_NAMES = tuple(_DARKNET.get(name, name) for name in COCO_NAMES)
# COCO numbers its classes from 1 to 90 and leaves out ten that it never published. Networks that
# count by id, as EfficientDet does, have outputs for those ten too.
UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
_UNUSED = "unused "
_USED_IDS = [id_ for id_ in range(1, 91) if id_ not in UNUSED_IDS]
COCO_CATEGORY_IDS = dict(zip(COCO_NAMES, _USED_IDS, strict=True))  # name → id
COCO_ID_NAMES = tuple(
    {id_: name for name, id_ in COCO_CATEGORY_IDS.items()}.get(id_, f"{_UNUSED}{id_}")
    for id_ in range(1, 91)
)  # the class of id 1 first, `unused 12` for an id without one


SHOWN = 8  # names in a line


@dataclass(frozen=True)
class ClassTable:
    """What became of the classes of a network when it was given others.

    Args:
        kept: (label before, label now, name now) of classes that both have, in the new order.
        dropped: names that are no longer there; of COCO's ids without a class none counts.
        new: names that have to be learned.
    """

    kept: tuple[tuple[int, int, str], ...]
    dropped: tuple[str, ...]
    new: tuple[str, ...]

    def describe(self) -> str:
        """In one line, what was kept by name, what is new and what was dropped."""
        groups = {
            "kept by name": [name for _, _, name in self.kept],
            "new": self.new,
            "dropped": self.dropped,
        }
        counts = ", ".join(f"{len(names)} {what}" for what, names in groups.items())
        listed = [f"{what}: {_shorten(names)}" for what, names in groups.items() if names]
        return "; ".join([counts, *listed])


def match_classes(before: Sequence[str], now: Sequence[str]) -> ClassTable:
    """Find the classes that two lists share, by name and never by position.

    Names match when they are equal, or else when they are two spellings of one class (`tvmonitor`
    and `tv`).

    Raises:
        InvalidValue: a name is empty, or stands in one list twice.
    """
    check_names(before, what="before")
    check_names(now, what="now")
    label_before = {name: label for label, name in enumerate(before)}
    by_spelling = _unique(before)
    spellings_now = _unique(now)
    kept = []
    for label, name in enumerate(now):
        found = label_before.get(name)
        spelling = canonical_name(name)
        if found is None and spelling in spellings_now:
            other = by_spelling.get(spelling)
            found = None if other is None or before[other] in now else other
        if found is not None:
            kept.append((found, label, name))
    old, current = {row[0] for row in kept}, {row[1] for row in kept}
    return ClassTable(
        tuple(kept),
        tuple(
            name for label, name in enumerate(before) if label not in old and not is_unused(name)
        ),
        tuple(name for label, name in enumerate(now) if label not in current),
    )


def check_names(names: Sequence[str], *, what: str = "now") -> None:
    """Refuse a list of classes with an empty name, or with one twice.

    Raises:
        InvalidValue: it is so.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not all(name.strip() for name in names):
        raise InvalidValue(
            f"The list of classes ({what})", twice or "with an empty name", "names, each once"
        )


def _unique(names: Iterable[str]) -> dict[str, int]:
    """Labels by spelling, without the spellings that several names share."""
    spellings = [canonical_name(name) for name in names]
    counts = Counter(spellings)
    return {spelling: label for label, spelling in enumerate(spellings) if counts[spelling] == 1}


def _shorten(names: Sequence[str]) -> str:
    """The first names."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} others" if more > 0 else "")


def default_names(count: int, *, known: tuple[str, ...] = COCO_NAMES) -> tuple[str, ...]:
    """Default class names: `known` if it has `count`, else class0, class1, ….

    Eighty classes are taken for COCO's, as every published detector of this family has those.
    """
    return known if count == len(known) else tuple(f"class{label}" for label in range(count))


def default_class_names(spec: "ModelSpec | CfgSpec") -> tuple[str, ...]:
    """Default class names of a model.

    The ninety of an EfficientDet are taken for COCO's ids 1 to 90, as every published one has
    those; see `COCO_ID_NAMES` for the ids without a class.
    """
    by_id = spec.head_kind == "efficientdet"
    if by_id and spec.num_classes == len(COCO_ID_NAMES):
        return COCO_ID_NAMES
    return default_names(spec.num_classes)


def is_unused(name: str) -> bool:
    """Whether a class of this name stands for an id without a class: `unused 12`.

    >>> is_unused("unused 12"), is_unused("unused sofa")
    (True, False)
    """
    return name.startswith(_UNUSED) and name.removeprefix(_UNUSED).isdecimal()


def canonical_name(name: str) -> str:
    """The spelling under which classes are compared: `TVmonitor` and `tv` are the same.

    >>> canonical_name("motorbike")
    'motorcycle'
    """
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return ALIASES.get(plain, plain)
