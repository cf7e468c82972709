"""Match the classes of a model and of a data set, by name, never by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidData, InvalidValue, lookup, nearest_hint
from ..specs.classes import is_unused, match_classes
from ..structures import IntArray


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
    labels: IntArray

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
    classes.

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
    classes = [name for name in model_names if not is_unused(name)]
    if repeated := _repeated(classes):
        raise InvalidValue("the classes of the model", repeated, "a name for each, once")
    if (repeated := _repeated(data_names)) or not all(name.strip() for name in data_names):
        problem = f"two classes are called {repeated[0]!r}" if repeated else "a class has no name"
        raise InvalidData(source, problem, "Give each class a name of its own")
    given = _check_renamed(rename_classes or {}, classes, data_names)
    table = match_classes(
        [name for name in classes if name not in given.values()],
        [name for name in data_names if name not in given],
    )
    free = [name for name in classes if name not in given.values()]
    model_of = given | {now: free[before] for before, _, now in table.kept}
    unknown = tuple(name for name in data_names if name not in model_of)
    if unknown and (not known_classes_only or not model_of):
        raise InvalidData(source, *_explain(unknown, classes, any_known=bool(model_of)))
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
