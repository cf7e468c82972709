"""The named variants of every family, and specs in files, which every command takes as a model.

A file is JSON: the fields of a `ModelSpec`, at the top or under `spec`. With `spec`, other keys
may stand beside it; they are ignored.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InvalidSpec, InvalidValue, lookup, printable
from ..io import write_file
from . import efficientdet, yolov4
from .schema import ModelSpec

CATALOG: dict[str, ModelSpec] = {
    spec.name: spec for spec in (*yolov4.VARIANTS, *efficientdet.VARIANTS)
}

SUFFIX = ".json"
KEY = "spec"
MAX_BYTES = 10**6
# Far above any network: a file of somebody else's must not make a machine build one for hours.
LARGEST = {
    "channels": 1 << 15,
    "depth": 4096,
    "image_size": 1 << 16,
    "kernel": 255,
    "num_classes": 10**5,
    "outputs": 16,
    "spp_depth": 64,
    "spp_lead": 64,
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
        InvalidSpec: the file cannot be read, or holds no spec.
    """
    if is_spec_file(name):
        return read_spec(Path(name))
    return lookup(CATALOG, name, "model")


def write_spec(spec: ModelSpec, path: Path, *, notes: Mapping[str, Any] | None = None) -> None:
    """Write a spec into a file that every command takes as a model name.

    The file appears whole or not at all.

    Args:
        path: ends in `.json`.
        notes: what else to write beside it, as plain values: reasons, predicted costs.

    Raises:
        InvalidValue: the path has another suffix, or the notes hold a key `spec`.
        InvalidSpec: nothing can be written there.
    """
    if path.suffix.lower() != SUFFIX:
        raise InvalidValue("The file of a spec", str(path), "a .json file")
    extra = dict(notes or {})
    if KEY in extra:
        raise InvalidValue("notes", KEY, "other keys than this, which holds the spec")
    content = {KEY: spec.model_dump(mode="json"), **extra}
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    try:
        write_file(path, text)
    except OSError as error:
        raise InvalidSpec(
            str(path), f"it cannot be written ({error.strerror})", "Check the folder and its space"
        ) from error


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
    _check_proportions(spec, path)
    return spec


def _read_table(path: Path) -> Any:
    """What stands in the file, as plain values."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSpec(
            str(path), f"it cannot be read ({error.strerror})", "Give a .json file with a spec"
        ) from error
    if len(data) > MAX_BYTES:
        raise InvalidSpec(
            str(path), f"it is larger than {MAX_BYTES:,} bytes", "A spec takes a few thousand"
        )
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        problem = f"it is not JSON ({printable(error, limit=300)})"
        raise InvalidSpec(str(path), problem, "Give a .json file with a spec") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _check_proportions(spec: ModelSpec, path: Path) -> None:
    """Refuse numbers with which a network would take hours to build."""
    for name, value in _numbers(spec):
        most = LARGEST.get(name)
        if most is not None and value > most:
            raise InvalidSpec(str(path), f"{name} is {value}", f"Expected {most} at most")
    stages = spec.backbone.stages
    blocks = sum(stage.depth for stage in stages) + spec.neck.depth * len(spec.neck.channels)
    counts = {
        "stages": (len(stages), MOST_STAGES),
        "anchors of a level": (max(map(len, spec.head.anchors), default=0), MOST_ANCHORS),
        "blocks": (blocks, MOST_BLOCKS),
    }
    for what, (count, allowed) in counts.items():
        if count > allowed:
            raise InvalidSpec(str(path), f"it has {count} {what}", f"Expected {allowed} at most")
    if not all(spec.head.anchors):
        raise InvalidSpec(str(path), "a level has no anchors", "Give one at least")


def _numbers(part: object, name: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number inside a spec, with the name of the field that it is in."""
    if isinstance(part, BaseModel):
        for field in type(part).model_fields:
            yield from _numbers(getattr(part, field), field)
    elif isinstance(part, tuple):
        for item in part:
            yield from _numbers(item, name)
    elif isinstance(part, int) and not isinstance(part, bool):
        yield name, part


def _describe(problem: Any) -> str:
    """What pydantic found wrong, and where."""
    return printable(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", limit=300)
