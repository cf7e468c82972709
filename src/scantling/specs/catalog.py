"""The named variants, specs in files, which every command takes as a model, and changes of one.

A file is JSON: the fields of a `ModelSpec`, at the top or under `spec`. With `spec`, other keys
may stand beside it; they are ignored.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InvalidSpec, InvalidValue, lookup, printable, unreadable
from ..io import find_foreign, open_regular, write_file
from .frozen import MAX_SIDE
from .parsing import parse_json
from .schema import ModelSpec

FAMILIES = ("yolov4", "efficientdet")  # a module each; how the names of its variants begin
Keys = tuple[str, ...]


class Catalog(Mapping[str, ModelSpec]):
    """Every variant by name. A family is made when one of its names is first asked for."""

    def __getitem__(self, name: str) -> ModelSpec:
        for family in FAMILIES:
            if name.startswith(family):
                return _variants(family)[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(_variants, FAMILIES))

    def __len__(self) -> int:
        return sum(len(_variants(family)) for family in FAMILIES)


@cache
def _variants(family: str) -> dict[str, ModelSpec]:
    specs = import_module(f".{family}", __package__).VARIANTS
    return {spec.name: spec for spec in specs}


CATALOG = Catalog()

SUFFIX = ".json"
KEY = "spec"
MAX_BYTES = 10**6
# Far above any network, for every number that a spec has: a file of somebody else's must not make a
# machine build one for hours.
LARGEST = {
    "anchors": 1 << 16,
    "beta": 1e6,
    "bottleneck": 64,
    "channels": 1 << 15,
    "depth": 4096,
    "expand": 64,
    "feature_strides": 1 << 10,
    "groups": 1 << 15,
    "image_size": MAX_SIDE,
    "kernel": 255,
    "mean": 1e6,
    "norm_eps": 1e6,
    "num_classes": 10**5,
    "outputs": 16,
    "pad_value": 255,
    "partial": 64,
    "scale_xy": 100,
    "spp_depth": 64,
    "spp_lead": 64,
    "squeeze": 64,
    "std": 1e6,
    "stem_channels": 1 << 15,
    "stem_kernel": 255,
    "stem_stride": 64,
    "stride": 64,
}
MOST_STAGES = 64
MOST_ANCHORS = 64  # of a level; less than MAX_ANCHORS, since 10⁵ classes may come with each
MOST_BLOCKS = 2048


def find_spec(name: str) -> ModelSpec:
    """The variant of that name, or the spec in that `.json` file.

    Raises:
        UnknownName: there is none; the nearest name is suggested.
        InvalidSpec: the file cannot be read, or holds no spec; or it is a folder.
    """
    if is_spec_file(name):
        return read_spec(Path(name))
    if name not in CATALOG and Path(name).is_dir():
        models = (path.name for path in Path(name).glob("*.safetensors"))
        found = sorted(model for model in models if model != "state.safetensors")
        fix = f"Name a model in it: {Path(name, found[0])}" if found else "Name a file"
        raise InvalidSpec(name, "it is a folder, and no model", fix)
    return lookup(CATALOG, name, "model")


def write_spec(spec: ModelSpec, path: Path, *, notes: Mapping[str, Any] | None = None) -> None:
    """Write a spec into a file that every command takes as a model name.

    The file appears whole or not at all.

    Args:
        path: ends in `.json`.
        notes: what else to write beside it, as plain values: reasons, predicted costs.

    Raises:
        InvalidValue: the path has another suffix, or the notes hold a key `spec`.
        CannotWrite: nothing can be written there.
    """
    if path.suffix.lower() != SUFFIX:
        raise InvalidValue("The file of a spec", str(path), "a .json file")
    extra = dict(notes or {})
    if KEY in extra:
        raise InvalidValue("notes", KEY, "other keys than this, which holds the spec")
    content = {KEY: spec.model_dump(mode="json"), **extra}
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_file(path, text)


def is_spec_file(name: str | Path) -> bool:
    """Whether what a user gave as a model is called like the file of a spec."""
    return Path(name).suffix.lower() == SUFFIX


def read_spec(path: Path) -> ModelSpec:
    """The spec in a file. Somebody else's file may be read: it can neither run anything nor be
    larger than any network is.

    Raises:
        InvalidSpec: there is no such file; it is no JSON, or too large; or what it holds is no
            spec, or one out of all proportion. Says where.
    """
    table = _read_table(path)
    fields = table[KEY] if isinstance(table, dict) and KEY in table else table
    if not isinstance(fields, dict):
        raise InvalidSpec(str(path), "it holds no spec", "Expected an object with a key spec")
    try:
        spec = ModelSpec.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors()[:3])
        raise InvalidSpec(str(path), problems, "Write it with `scantling scale`") from error
    except InvalidSpec as error:
        raise InvalidSpec(str(path), printable(error, limit=300), "Change that") from error
    check_proportions(spec, str(path))
    return spec


def _read_table(path: Path) -> Any:
    """What stands in the file, as plain values."""
    try:
        with open_regular(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSpec(str(path), unreadable(error), "Give a .json file with a spec") from error
    if len(data) > MAX_BYTES:
        raise InvalidSpec(
            str(path), f"it is larger than {MAX_BYTES:,} bytes", "A spec takes a few thousand"
        )
    try:
        return parse_json(data)
    except ValueError as error:
        foreign = find_foreign(data)
        problem = f"it is {foreign}" if foreign else ""
        problem = problem or f"it is not JSON ({printable(error, limit=300)})"
        raise InvalidSpec(str(path), problem, "Give a .json file with a spec") from error


def check_proportions(spec: ModelSpec, source: str) -> None:
    """Refuse numbers with which a network would take hours to build.

    Raises:
        InvalidSpec: names the number, and the most that it may be.
    """
    for name, value in _numbers(spec):
        if not abs(value) <= LARGEST[name]:  # nor is it no number
            raise InvalidSpec(source, f"{name} is {value}", f"Expected {LARGEST[name]} at most")
    stages, neck, head = spec.backbone.stages, spec.neck, spec.head
    levels = len(neck.channels)
    blocks = sum(stage.depth for stage in stages) + (neck.depth + head.depth) * levels
    counts = {
        "stages": (len(stages), MOST_STAGES),
        "anchors of a level": (max(map(len, spec.head.anchors), default=0), MOST_ANCHORS),
        "blocks": (blocks, MOST_BLOCKS),
    }
    for what, (count, allowed) in counts.items():
        if count > allowed:
            raise InvalidSpec(source, f"it has {count} {what}", f"Expected {allowed} at most")
    if not all(spec.head.anchors):
        raise InvalidSpec(source, "a level has no anchors", "Give one at least")


def _numbers(part: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number inside a spec, with the name of the field that it is in."""
    if isinstance(part, BaseModel):
        for field in type(part).model_fields:
            yield from _numbers(getattr(part, field), field)
    elif isinstance(part, tuple):
        for item in part:
            yield from _numbers(item, name)
    elif isinstance(part, (int, float)) and not isinstance(part, bool):
        yield name, part


def _describe(problem: Any) -> str:
    """What pydantic found wrong, and where."""
    return printable(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", limit=300)


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


def _change(part: object, changes: Mapping[Keys, object], where: Keys) -> object:
    """`part` with the values at these paths, all below it."""
    groups: dict[str, dict[Keys, object]] = {}
    for path, value in changes.items():
        groups.setdefault(path[0], {})[path[1:]] = value
    members = _members(part, where)
    new: dict[str, object] = {}
    for name, inner in groups.items():
        current = lookup(members, name, _describe_place(where))
        if () in inner and len(inner) > 1:
            raise InvalidValue(
                ".".join((*where, name)), inner[()], "it alone or settings inside it"
            )
        new[name] = inner[()] if () in inner else _change(current, inner, (*where, name))
    if isinstance(part, tuple):
        return tuple(({**members, **new}).values())
    return _checked(part, {**members, **new}, where)


def _members(part: object, where: Keys) -> dict[str, object]:
    """What can be named below a part of a spec."""
    if isinstance(part, BaseModel):
        return {name: getattr(part, name) for name in type(part).model_fields}
    if isinstance(part, tuple):
        return {str(index): item for index, item in enumerate(part)}
    raise InvalidValue(".".join(where), part, "a value: it has no settings inside it")


def _checked(part: object, fields: dict[str, object], where: Keys) -> object:
    try:
        return type(part)(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, (*where, *first["loc"])))
        expected = first["msg"].removeprefix("Input should be ")
        raise InvalidValue(name, first["input"], expected) from error


def _describe_place(where: Keys) -> str:
    return f"setting of {'.'.join(where)}" if where else "setting of a model"
