"""A setting that a part does not have is an error, never ignored."""

from ..errors import InvalidSpec
from .schema import HeadSpec, NeckSpec


def refuse_settings(spec: NeckSpec | HeadSpec, *names: str) -> None:
    """Refuse settings that a kind of neck or head does not have.

    Raises:
        InvalidSpec: one of them is not at its default.
    """
    for name in names:
        if getattr(spec, name) != type(spec).model_fields[name].default:
            raise InvalidSpec(
                spec.kind,
                f"this kind has no {name}, but it is {getattr(spec, name)!r}",
                "Leave it out",
            )
