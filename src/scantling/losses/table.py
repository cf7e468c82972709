"""Every loss by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import BeforeValidator, SerializeAsAny
from pydantic_core import PydanticCustomError

from ..errors import UnknownName, lookup
from ..lazy import import_late
from ..specs.level import Level
from ..structures import LossTerms, Targets
from .settings import BaseLossSettings, DarknetSettings, EfficientDetSettings, ScaledYolov4Settings

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = __name__.rpartition(".")[0]


class Loss(Protocol):
    """What every loss offers, besides being a module that has no weights."""

    def __call__(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        all_reduce: Callable[[Tensor], Tensor] = ...,
    ) -> LossTerms:
        """The loss of raw predictions.

        Args:
            raw: what the network returned, in any precision; the loss is computed in float32.
            targets: the objects of the batch; all have area, and labels below K. There may be none.
            image_size: (height, width) of the images that the network saw.
            all_reduce: sums a small tensor over the processes that train together. The gradients
                that they then average are those of one process with the joint batch.

        Returns:
            scalars. `total` is a mean over the images, or over what the family's paper divides by:
            slices of a batch are averaged, not added.
        """
        ...

    def to(self, device: Any) -> Any:
        """Move the anchors to where the predictions are."""
        ...


@dataclass(frozen=True)
class LossKind:
    """A kind of loss.

    Args:
        settings: makes its settings from their fields, which are checked.
        build: Loss(levels, num_classes, settings), levels finest first.
    """

    settings: Callable[..., BaseLossSettings]
    build: Callable[[Sequence[Level], int, Any], Loss]


# Every kind of loss. Add a file, its settings to those of `settings`, then an entry here.
LOSSES: dict[str, LossKind] = {
    "darknet": LossKind(DarknetSettings, import_late(PACKAGE, "darknet", "DarknetLoss")),
    "scaled-yolov4": LossKind(
        ScaledYolov4Settings, import_late(PACKAGE, "scaled_yolov4", "ScaledYolov4Loss")
    ),
    "efficientdet": LossKind(
        EfficientDetSettings, import_late(PACKAGE, "efficientdet", "EfficientDetLoss")
    ),
}


def build_loss(levels: Sequence[Level], num_classes: int, settings: BaseLossSettings) -> Loss:
    """The loss that `settings` are of.

    Raises:
        InvalidValue: the settings do not fit these levels.
    """
    return lookup(LOSSES, settings.kind, "loss").build(levels, num_classes, settings)


def _read_settings(fields: Any) -> Any:
    """The settings of the kind that the fields name."""
    if not isinstance(fields, Mapping):
        return fields
    try:
        kind = lookup(LOSSES, str(fields.get("kind")), "loss")
    except UnknownName as error:
        raise PydanticCustomError("unknown_loss", "{problem}", {"problem": str(error)}) from error
    return kind.settings(**fields)


# In a recipe: the settings of whichever loss their `kind` names.
LossSettings = Annotated[SerializeAsAny[BaseLossSettings], BeforeValidator(_read_settings)]
