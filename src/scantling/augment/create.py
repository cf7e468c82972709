"""Create a transform by name and checked settings, or from a user's own file; compose them."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import InvalidValue, UnknownName, lookup
from ..structures import Sample, as_size

Made = TypeVar("Made")

# One grey value, or red, green and blue; 0 to 255.
Colour = int | tuple[int, int, int]


# What every transform is: called with a sample and the source of all its randomness, it returns a
# sample and leaves the one it was given as it was.
Transform = Callable[[Sample, np.random.Generator], Sample]
# What every mixer is: the same for several samples. It says how many in `samples_needed`.
Mixer = Callable[[Sequence[Sample], np.random.Generator], Sample]


def create(
    table: Mapping[str, Callable[..., Any]],
    name: str,
    settings: Mapping[str, Any],
    *,
    pad_value: Colour | None = None,
) -> Any:
    """Make an entry of `TRANSFORMS`, `MIXERS` or `AUGMENTATIONS` from settings of a file.

    Args:
        table: name → class.
        name: of the entry.
        settings: parameter → value; a list stands for a tuple, one side for a square image.
        pad_value: padding of an entry that pads, unless its settings name another, or its default
            is the mean colour of the image, as darknet's; None for its own default.

    Raises:
        UnknownName: no such entry, or it has no such parameter.
        InvalidValue: a value is out of range.
    """
    made = lookup(table, name, "transform")
    if pad_value is not None and getattr(made, "pad_value", None) is not None:
        settings = {"pad_value": pad_value, **settings}
    return _with_settings(made, name, settings)


def load_transform(where: str, settings: Mapping[str, Any] | None = None) -> "LoadedTransform":
    """Make a transform of your own from `path/to/file.py:ClassName`.

    The file is run as Python, with all that you may do: name only a file that you trust. It is
    meant for settings that you write yourself, and is never taken from a data set or a checkpoint.
    The class is called with the settings, and the result with `(sample, rng)`; a frozen dataclass
    like those here is enough.

    The result can be sent to another process: the file is run again there.

    Args:
        where: the file, a colon, the name of the class.
        settings: keyword arguments of the class; a list stands for a tuple.

    Raises:
        InvalidValue: `where` is not of this form, the file is missing or does not run, or what it
            makes cannot be called.
        UnknownName: the file has no such class, or the class no such parameter.
    """
    path, _, name = where.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise InvalidValue("transform", where, "path/to/file.py:ClassName")
    found = lookup(_run(Path(path)), name, f"class of {path}")
    chosen = dict(settings or {})
    transform = _with_settings(found, name, chosen)
    if isinstance(transform, type) or not callable(transform):
        raise InvalidValue("transform", where, "a class whose objects are called (sample, rng)")
    return LoadedTransform(where, tuple(chosen.items()), transform)


@dataclass(frozen=True)
class LoadedTransform:
    """A transform from a user's own file. Make it with `load_transform`."""

    where: str
    settings: tuple[tuple[str, Any], ...]
    transform: Transform

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return self.transform(sample, rng)

    def __reduce__(self) -> tuple[Callable[..., "LoadedTransform"], tuple[Any, ...]]:
        return load_transform, (self.where, dict(self.settings))


def _run(path: Path) -> dict[str, Any]:
    """Run a file as a module that nothing else knows of, and return what it defines."""
    spec = importlib.util.spec_from_file_location(f"scantling_user_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InvalidValue("transform", str(path), "a Python file that exists")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        problem = f"{type(error).__name__}: {error}"
        raise InvalidValue("transform", str(path), f"a file that runs ({problem})") from error
    return {name: value for name, value in vars(module).items() if callable(value)}


def _with_settings(made: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> Any:
    if is_dataclass(made):
        known = [field.name for field in fields(made) if field.init]
        if "fill" in settings and "fill" not in known and "pad_value" in known:
            # as settings of version 0.1 call it
            settings = {**settings, "pad_value": settings["fill"]}
            del settings["fill"]
        for setting in settings:
            if setting not in known:
                raise UnknownName(f"setting of {name}", setting, known)
    values = {key: _as_tuple(value) for key, value in settings.items()}
    if isinstance(values.get("image_size"), int):
        values["image_size"] = as_size(values["image_size"])
    try:
        return made(**values)
    except TypeError as error:
        raise InvalidValue(f"settings of {name}", dict(settings), f"other ones: {error}") from error


def _as_tuple(value: Any) -> Any:
    """Lists of a settings file as tuples, as deep as they go."""
    return tuple(_as_tuple(one) for one in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Compose:
    """Apply transforms in order.

    Args:
        transforms: called one after the other with the sample and the same `rng`.

    Raises:
        InvalidValue: one of them cannot be called.
    """

    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        for transform in self.transforms:
            if isinstance(transform, type) or not callable(transform):
                raise InvalidValue(
                    "Compose.transforms",
                    transform,
                    "transforms that are made, such as HorizontalFlip()",
                )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample


def create_from(whole: object, kind: type[Made]) -> Made:
    """Create a transform with the settings that it shares, by name, with another that it is in.

    Args:
        whole: the other; a setting of `kind` that it does not have keeps its default.
        kind: a dataclass.
    """
    names = [field.name for field in fields(cast(Any, kind)) if hasattr(whole, field.name)]
    return kind(**{name: getattr(whole, name) for name in names})


def check_number(setting: str, value: object, low: float, high: float) -> None:
    """Check that a value is a finite number from `low` to `high`.

    Raises:
        InvalidValue: it is something else.
    """
    if not _is_number(value) or not low <= value <= high:  # type: ignore[operator]
        raise InvalidValue(setting, value, f"a number from {low:g} to {high:g}")


def check_whole(setting: str, value: object, low: int, high: int) -> None:
    """Check that a value is a whole number from `low` to `high`.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidValue(setting, value, f"a whole number from {low} to {high}")


def check_shares(owner: object, *fields: str) -> None:
    """Check that fields of `owner` are shares or probabilities, 0 to 1.

    Raises:
        InvalidValue: one is not.
    """
    for field in fields:
        check_number(f"{type(owner).__name__}.{field}", getattr(owner, field), 0, 1)


def check_range(setting: str, value: object, low: float, high: float) -> None:
    """Check that a value is two ascending numbers from `low` to `high`.

    Raises:
        InvalidValue: they are not.
    """
    if (
        not isinstance(value, tuple)
        or len(value) != 2
        or not all(_is_number(one) for one in value)
        or not low <= value[0] <= value[1] <= high
    ):
        raise InvalidValue(setting, value, f"two ascending numbers from {low:g} to {high:g}")


def check_image_size(setting: str, value: object) -> None:
    """Check that a value is (height, width), whole numbers from 1 to 16384.

    Raises:
        InvalidValue: it is something else.
    """
    if (
        not isinstance(value, tuple)
        or len(value) != 2
        or not all(isinstance(side, int) and 1 <= side <= 16384 for side in value)
    ):
        raise InvalidValue(setting, value, "(height, width), each 1 to 16384")


def check_colour(setting: str, value: object) -> None:
    """Check that a value is a colour: one whole number from 0 to 255, or three.

    Raises:
        InvalidValue: it is something else.
    """
    parts = value if isinstance(value, tuple) and len(value) == 3 else (value,)
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
        raise InvalidValue(setting, value, "a whole number from 0 to 255, or three of them")


def check_count(samples: Sized, needed: int, mixer: str) -> None:
    """Check that a mixer was given as many samples as it needs.

    Raises:
        InvalidValue: it was handed another number.
    """
    if len(samples) != needed:
        raise InvalidValue(f"samples of {mixer}", f"{len(samples)} samples", f"{needed} of them")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
