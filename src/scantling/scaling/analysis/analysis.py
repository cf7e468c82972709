"""What a model costs, what the papers say of that, and how long it takes at least on a device."""

from dataclasses import dataclass

from ...errors import InvalidValue
from ...specs import CfgSpec, ModelSpec
from ..costs import NetworkCost, PartCost, Roof, count_costs
from .rules import find_violations
from .verdict import Verdict


@dataclass(frozen=True)
class Analysis:
    """A model, looked at.

    Args:
        cost: layer by layer.
        verdicts: what the rules of design found, what is at stake the most first.
        roof: of the device, where one was given.
    """

    cost: NetworkCost
    verdicts: tuple[Verdict, ...]
    roof: Roof | None = None

    def seconds(self, part: PartCost | None = None) -> float | None:
        """The least time of a part, or of the whole network; None without a roof.

        The sum over the layers, each limited by computing or by memory.
        """
        if self.roof is None:
            return None
        layers = self.cost.layers if part is None else part.layers
        return sum(map(self.roof.seconds, layers))


def analyze(
    spec: ModelSpec | CfgSpec,
    *,
    image_size: int | tuple[int, int] | None = None,
    batch: int = 1,
    precision: str = "fp32",
    fused: bool = False,
    roof: Roof | None = None,
) -> Analysis:
    """Count what a model costs, and hold the rules of the papers against it.

    Args:
        spec: of the model; `analyze.open_spec` finds it for a name or a file.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        fused: with the norms folded into the convolutions, as engines run it.
        roof: of the device that it shall run on.

    Raises:
        InvalidSpec, InvalidCfg: the network cannot be built at that size.
        UnknownName, InvalidValue: no such precision, no images, or a roof for another precision.
    """
    if roof is not None and roof.precision not in ("", precision):
        raise InvalidValue(
            "precision", precision, f"{roof.precision}, in which {roof.name} was measured"
        )
    cost = count_costs(spec, image_size=image_size, batch=batch, precision=precision, fused=fused)
    return Analysis(cost, find_violations(cost, spec), roof)
