"""Analysis of a model: cost per layer, design-rule findings, lower bound of the latency."""

from dataclasses import dataclass

from ...errors import InvalidValue
from ...specs import CfgSpec, ModelSpec
from ..costs import NetworkCost, PartCost, Roofline, count_costs
from .finding import RuleFinding
from .rules import check_rules


@dataclass(frozen=True)
class Analysis:
    """Cost of a model, and what the design rules find in it.

    Args:
        cost: layer by layer.
        findings: what the rules of design found, what is at stake the most first.
        roofline: of the device, where one was given.
    """

    cost: NetworkCost
    findings: tuple[RuleFinding, ...]
    roofline: Roofline | None = None

    def seconds(self, part: PartCost | None = None) -> float | None:
        """Lower bound of the latency of a part, or of the whole network; None without a roofline.

        The sum over the layers, each limited by computing or by memory.
        """
        if self.roofline is None:
            return None
        layers = self.cost.layers if part is None else part.layers
        return sum(map(self.roofline.seconds, layers))


def analyze(
    spec: ModelSpec | CfgSpec,
    *,
    image_size: int | tuple[int, int] | None = None,
    batch: int = 1,
    precision: str = "fp32",
    fused: bool = False,
    roofline: Roofline | None = None,
) -> Analysis:
    """Count the cost of a model layer by layer, and check it against the design rules.

    Args:
        spec: of the model; `open_spec` finds it for a name or a file.
        image_size: (height, width), or the side of a square; the spec's own if None.
        batch: images at once.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        fused: with the norms folded into the convolutions, as engines run it.
        roofline: of the device that it shall run on.

    Raises:
        InvalidSpec, InvalidCfg: the network cannot be built at that size.
        UnknownName, InvalidValue: no such precision, no images, or a roofline of another one.
    """
    if roofline is not None and roofline.precision not in ("", precision):
        raise InvalidValue(
            "precision", precision, f"{roofline.precision}, in which {roofline.name} was measured"
        )
    cost = count_costs(spec, image_size=image_size, batch=batch, precision=precision, fused=fused)
    return Analysis(cost, check_rules(cost, spec), roofline)
