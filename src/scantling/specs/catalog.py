"""Every named variant of every family."""

from pathlib import Path

from ..errors import lookup
from . import efficientdet, yolov4
from .files import is_spec_file, read_spec
from .schema import ModelSpec

CATALOG: dict[str, ModelSpec] = {
    spec.name: spec for spec in (*yolov4.VARIANTS, *efficientdet.VARIANTS)
}


def find_spec(name: str) -> ModelSpec:
    """The variant of that name, or the spec in that `.json` file.

    Raises:
        UnknownName: there is none; the nearest name is suggested.
        InvalidSpec: the file cannot be read, or holds no spec.
    """
    if is_spec_file(name):
        return read_spec(Path(name))
    return lookup(CATALOG, name, "model")
