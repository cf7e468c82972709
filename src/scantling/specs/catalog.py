"""Every named variant of every family."""

from ..errors import lookup
from . import efficientdet, yolov4
from .schema import ModelSpec

CATALOG: dict[str, ModelSpec] = {
    spec.name: spec for spec in (*yolov4.VARIANTS, *efficientdet.VARIANTS)
}


def find_spec(name: str) -> ModelSpec:
    """The variant of that name.

    Raises:
        UnknownName: there is none; the nearest name is suggested.
    """
    return lookup(CATALOG, name, "model")
