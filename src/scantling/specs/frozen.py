"""`Frozen`, the base of every value that pydantic checks, and the numbers it is made of."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import InvalidSpec, InvalidValue, lookup
from ..structures import as_size

MAX_SIDE = 1 << 14  # pixels of an image that a network sees
Positive = Annotated[int, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(gt=0, le=MAX_SIDE)]
Size = Annotated[tuple[Side, Side], BeforeValidator(as_size)]  # (height, width)


class Frozen(BaseModel):
    """Named fields that are checked once and never change. An unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked as a new one is.

        Raises:
            UnknownName: there is no such field.
            InvalidValue: a field does not take its value.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        for name in changes:
            lookup(fields, name, f"field of {type(self).__name__}")
        try:
            return type(self)(**{**fields, **changes})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            expected = first["msg"].removeprefix("Input should be ")
            raise InvalidValue(name, first["input"], expected) from error


def refuse_settings(spec: Frozen, *names: str) -> None:
    """Require that settings which a kind of neck or head does not have are at their defaults.

    Raises:
        InvalidSpec: one of them is not.
    """
    for name in names:
        if getattr(spec, name) != type(spec).model_fields[name].default:
            raise InvalidSpec(
                str(getattr(spec, "kind", type(spec).__name__)),
                f"this kind has no {name}, but it is {getattr(spec, name)!r}",
                "Leave it out",
            )
