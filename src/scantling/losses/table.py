"""Every loss by name."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..errors import lookup
from ..specs.level import Level
from ..structures import LossTerms, Targets
from .darknet import DarknetLoss
from .efficientdet import EfficientDetLoss
from .scaled_yolov4 import ScaledYolov4Loss
from .settings import DarknetSettings, EfficientDetSettings, ScaledYolov4Settings


class Loss(Protocol):
    """What every loss offers, besides being a module that has no weights."""

    def __call__(
        self,
        raw: Sequence[Tensor],
        targets: Targets,
        image_size: tuple[int, int],
        *,
        add_up: Callable[[Tensor], Tensor] = ...,
    ) -> LossTerms:
        """How wrong raw predictions are.

        Args:
            raw: what the network returned, in any precision; the loss is computed in float32.
            targets: the objects of the batch; all have area, and labels below K. There may be none.
            image_size: (height, width) of the images that the network saw.
            add_up: sums a small tensor over the processes that train together. The gradients that
                they then average are those of one process with the joint batch.

        Returns:
            scalars. `total` is a mean over the images, or over what the family's paper divides by:
            slices of a batch are averaged, not added.
        """
        ...

    def to(self, device: Any) -> Any:
        """Move the anchors to where the predictions are."""
        ...


# Every loss: Loss(levels, num_classes, settings), levels finest first.
LOSSES: dict[str, Callable[[Sequence[Level], int, Any], Loss]] = {
    "darknet": DarknetLoss,
    "scaled-yolov4": ScaledYolov4Loss,
    "efficientdet": EfficientDetLoss,
}


def build_loss(
    levels: Sequence[Level],
    num_classes: int,
    settings: DarknetSettings | ScaledYolov4Settings | EfficientDetSettings,
) -> Loss:
    """The loss that `settings` are of.

    Raises:
        InvalidValue: the settings do not fit these levels.
    """
    return lookup(LOSSES, settings.kind, "loss")(levels, num_classes, settings)
