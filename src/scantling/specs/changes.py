"""Change settings deep inside a spec by name: `neck.fusion`, or `neck__fusion` as a keyword."""

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from ..errors import InvalidValue, lookup
from .schema import ModelSpec

Path = tuple[str, ...]


def change_spec(spec: ModelSpec, changes: Mapping[str, object]) -> ModelSpec:
    """A copy with some settings changed, all at once, and checked as a new one is.

    Args:
        spec: stays as it is.
        changes: values by name, parts joined by a dot or a double underscore: `neck.fusion`,
            `backbone__stages__0__depth`; a whole part by its own name.

    Raises:
        UnknownName: there is no such setting; suggests the nearest.
        InvalidValue: the value does not fit the setting.
        InvalidSpec: the settings do not fit each other.

    >>> from .catalog import CATALOG
    >>> change_spec(CATALOG["efficientdet-d0"], {"neck.fusion": "softmax"}).neck.fusion
    'softmax'
    """
    paths = {tuple(name.replace("__", ".").split(".")): value for name, value in changes.items()}
    if len(paths) < len(changes):
        raise InvalidValue("The settings", sorted(changes), "each of them once")
    changed = _change(spec, paths, ())
    if not isinstance(changed, ModelSpec):
        raise InvalidValue("The model", changed, "settings of a ModelSpec")
    return changed


def _change(part: object, changes: Mapping[Path, object], where: Path) -> object:
    """`part` with the values at these paths, all below it."""
    groups: dict[str, dict[Path, object]] = {}
    for path, value in changes.items():
        groups.setdefault(path[0], {})[path[1:]] = value
    members = _members(part, where)
    new: dict[str, object] = {}
    for name, inner in groups.items():
        current = lookup(members, name, _describe(where))
        if () in inner and len(inner) > 1:
            raise InvalidValue(
                ".".join((*where, name)), inner[()], "it alone or settings inside it"
            )
        new[name] = inner[()] if () in inner else _change(current, inner, (*where, name))
    if isinstance(part, tuple):
        return tuple(({**members, **new}).values())
    return _checked(part, {**members, **new}, where)


def _members(part: object, where: Path) -> dict[str, object]:
    """What can be named below a part of a spec."""
    if isinstance(part, BaseModel):
        return {name: getattr(part, name) for name in type(part).model_fields}
    if isinstance(part, tuple):
        return {str(index): item for index, item in enumerate(part)}
    raise InvalidValue(".".join(where), part, "a value: it has no settings inside it")


def _checked(part: object, fields: dict[str, object], where: Path) -> object:
    try:
        return type(part)(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, (*where, *first["loc"])))
        expected = first["msg"].removeprefix("Input should be ")
        raise InvalidValue(name, first["input"], expected) from error


def _describe(where: Path) -> str:
    return f"setting of {'.'.join(where)}" if where else "setting of a model"
