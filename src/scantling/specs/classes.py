"""Class names: those of COCO, and which of them two lists share, by name, never by position.

Source: https://cocodataset.org; the older spellings: darknet's `coco.names`, in the public domain.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidData, InvalidValue, lookup, nearest_hint

if TYPE_CHECKING:
    from .schema import CfgSpec, ModelSpec

COCO_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat",
    "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack",
    "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball",
    "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket",
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair",
    "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
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
_USED_IDS = [id_ for id_ in range(1, 91) if id_ not in UNUSED_IDS]
COCO_CATEGORY_IDS = dict(zip(COCO_NAMES, _USED_IDS, strict=True))  # name → id
COCO_ID_NAMES = tuple(
    {id_: name for name, id_ in COCO_CATEGORY_IDS.items()}.get(id_, f"unused {id_}")
    for id_ in range(1, 91)
)  # the class of id 1 first, `unused 12` for an id without one
UNUSED_NAMES = frozenset(f"unused {id_}" for id_ in UNUSED_IDS)
HIDDEN = "dont_show"  # how the name of a class begins that darknet keeps out of its results


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
            name
            for label, name in enumerate(before)
            if label not in old and not is_placeholder(name, before)
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


def unnamed_classes(count: int) -> tuple[str, ...]:
    """The names of classes that have none: class0, class1, …."""
    return tuple(f"class{label}" for label in range(count))


def default_class_names(spec: "ModelSpec | CfgSpec") -> tuple[str, ...]:
    """Default class names of a model: COCO's, else class0, class1, ….

    Eighty classes are taken for COCO's, and the ninety of an EfficientDet for COCO's ids 1 to 90
    (see `COCO_ID_NAMES` for the ids without a class), as every published detector has those.
    """
    tables = (COCO_NAMES, *([COCO_ID_NAMES] if spec.head_kind == "efficientdet" else []))
    known = {len(names): names for names in tables}
    return known.get(spec.num_classes) or unnamed_classes(spec.num_classes)


def is_placeholder(name: str, names: Sequence[str]) -> bool:
    """Whether a name stands for an id that COCO left unused: only where all ten of them are there.

    A class of somebody's own that is called `unused 12` is a class.
    """
    return name in UNUSED_NAMES and set(names) >= UNUSED_NAMES


def shown_names(names: Sequence[str]) -> list[str]:
    """The classes whose objects are in the results: not of an id that COCO left unused.

    Nor of a line `dont_show car` in a `.names` file, as in darknet, though it counts as a class.

    >>> shown_names(["car", "dont_show bus"])
    ['car']
    """
    return [
        name for name in names if not is_placeholder(name, names) and not name.startswith(HIDDEN)
    ]


def find_label(given: str | int, names: Sequence[str], *, what: str = "class of the model") -> int:
    """The label of a class that is given by its name, or by the label itself.

    Raises:
        UnknownName: there is no class of that name.
        InvalidValue: there is no such label.
    """
    labels = {name: label for label, name in enumerate(names)}
    if isinstance(given, str) and (given in labels or not given.isdecimal()):
        return lookup(labels, given, what)
    if not 0 <= int(given) < len(names):
        raise InvalidValue(what, given, f"a name, or a label from 0 to {len(names) - 1}")
    return int(given)


def canonical_name(name: str) -> str:
    """The spelling under which classes are compared: `TVmonitor` and `tv` are the same.

    >>> canonical_name("motorbike")
    'motorcycle'
    """
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return ALIASES.get(plain, plain)


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """Matched classes of a model and a data set.

    Args:
        pairs: (name in the data, name in the model), in the order of the data.
        unjudged: classes of the model that the data lacks; what is found of them cannot be judged
            and is left out.
        unknown: classes of the data that the model does not know; their objects are left out.
        labels: (K,) for each class of the model its label in the data, -1 where it has none.
    """

    pairs: tuple[tuple[str, str], ...]
    unjudged: tuple[str, ...]
    unknown: tuple[str, ...]
    labels: NDArray[np.int64]

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """The pairs with two different names."""
        return tuple(pair for pair in self.pairs if pair[0] != pair[1])


def match_class_names(
    model_names: Sequence[str],
    data_names: Sequence[str],
    *,
    source: str,
    rename_classes: Mapping[str, str] | None = None,
    known_classes_only: bool = False,
) -> ClassMatch:
    """Match each class of the data to the model's class of that name.

    Names match when they are equal, or else when they are two spellings of one of COCO's classes
    (`tvmonitor` and `tv`). Ids that COCO left unused, which EfficientDet has outputs for, are no
    classes; nor are those that are not to be shown, whose objects are left out.

    Args:
        model_names: by label.
        data_names: by label.
        source: what the data is called in an error.
        rename_classes: name in the data → name in the model, where they differ.
        known_classes_only: leave out the classes of the data that the model does not know.

    Raises:
        InvalidData: the model does not know a class of the data, or knows none; a name is empty or
            there twice.
        InvalidValue: the model has a name twice, or two classes of the data are to be one of it.
        UnknownName: `rename_classes` names a class that is not there.
    """
    classes = shown_names(model_names)
    shown = shown_names(data_names)
    if repeated := _repeated(classes):
        raise InvalidValue("the classes of the model", repeated, "a name for each, once")
    if (repeated := _repeated(data_names)) or not all(name.strip() for name in data_names):
        problem = f"two classes are called {repeated[0]!r}" if repeated else "a class has no name"
        raise InvalidData(source, problem, "Give each class a name of its own")
    given = _check_renamed(rename_classes or {}, classes, data_names)
    table = match_classes(
        [name for name in classes if name not in given.values()],
        [name for name in data_names if name not in given and name in shown],
    )
    free = [name for name in classes if name not in given.values()]
    model_of = given | {now: free[before] for before, _, now in table.kept}
    unknown = tuple(name for name in data_names if name not in model_of)
    missing = [name for name in unknown if name in shown]
    if missing and (not known_classes_only or not model_of):
        raise InvalidData(source, *_explain(missing, classes, any_known=bool(model_of)))
    label_of = {model_of[name]: label for label, name in enumerate(data_names) if name in model_of}
    return ClassMatch(
        pairs=tuple((name, model_of[name]) for name in data_names if name in model_of),
        unjudged=tuple(name for name in classes if name not in label_of),
        unknown=unknown,
        labels=np.array([label_of.get(name, -1) for name in model_names], np.int64),
    )


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _check_renamed(
    renamed: Mapping[str, str], classes: Sequence[str], data_names: Sequence[str]
) -> dict[str, str]:
    """Check that both names of every pair exist."""
    for ours, theirs in renamed.items():
        lookup(dict.fromkeys(data_names, 0), ours, "class of the data")
        lookup(dict.fromkeys(classes, 0), theirs, "class of the model")
    if repeated := _repeated(list(renamed.values())):
        raise InvalidValue("the class of the model", repeated[0], "for one class of the data only")
    return dict(renamed)


def _explain(unknown: Sequence[str], classes: Sequence[str], *, any_known: bool) -> tuple[str, str]:
    """Problem and fix of an error message."""
    shown = ", ".join(map(repr, unknown[:5])) + (
        f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    )
    hint = nearest_hint(unknown[0], classes)
    example = f"--rename-classes {unknown[0]!r}=NAME for one that it calls otherwise"
    rest = "" if not any_known else ", or --set known_classes_only=true to leave such objects out"
    return (
        f"the model does not know its {'class' if len(unknown) == 1 else 'classes'} {shown}.{hint}"
        f" It knows {', '.join(map(repr, classes[:10]))}{', …' if len(classes) > 10 else ''}",
        f"Write {example}{rest}",
    )
