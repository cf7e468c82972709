"""Design rules of the papers: where a network breaks one, what that costs, what to change.

A rule is a function from what a network costs and what it is to what it found. The numbers are
those of the network itself, or of one that was built beside it for comparison.
"""

from collections.abc import Callable
from math import sqrt
from typing import Literal

from ...specs import CfgSpec, ModelSpec
from ..costs import LayerCost, NetworkCost, add_up
from .finding import RuleFinding
from .stage_rules import judge_csp_stages, judge_osa_stages, judge_plain_pan

SHUFFLENET = "ShuffleNet V2, arXiv 1807.11164, section 2"
SCALED = "Scaled-YOLOv4, arXiv 2011.08036"
WORST = 5  # layers that one rule names

UNEQUAL = 0.1  # extra memory access from which on a layer is named
SMALL = 0.001  # share of all MACs below which a convolution is a fragment

Rule = Callable[[NetworkCost, ModelSpec | CfgSpec], list[RuleFinding]]


def check_rules(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> tuple[RuleFinding, ...]:
    """Apply every rule: advice first, largest share of the cost first; then facts.

    Args:
        cost: of the network.
        spec: that it was counted from.
    """
    found = [finding for rule in RULES.values() for finding in rule(cost, spec)]
    order = sorted(found, key=lambda one: (one.kind == "fact", -one.share_of_cost))
    return tuple(order)


def judge_unequal_widths(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """G1: for the same MACs, a convolution moves the least if it is as wide out as in."""
    del spec
    layers = [
        (layer, extra)
        for layer in cost.layers
        if (extra := extra_access(layer)) is not None and extra >= UNEQUAL
    ]
    total = cost.totals.access
    layers.sort(key=lambda pair: -_wasted(*pair))
    return [
        RuleFinding(
            "unequal widths",
            layer.name,
            f"C_in {layer.inputs[0][1]} ≠ C_out {layer.shape[1]} costs +{extra:.0%} memory access "
            f"against {round(sqrt(layer.inputs[0][1] * layer.shape[1]))} in and out, which has as "
            "many MACs",
            "Bring the two widths together, or leave the step to a layer at a coarser stride",
            f"{SHUFFLENET}, G1",
            _wasted(layer, extra) / total,
        )
        for layer, extra in layers[:WORST]
    ]


def extra_access(layer: LayerCost) -> float | None:
    """Memory access above that of a layer of equal widths and as many MACs, relative to it.

    None of what is no plain convolution at stride 1, and of what reads the image or predicts from
    it, whose widths nobody can choose.
    """
    fixed = layer.reads_image or ".predict" in layer.name
    if layer.kind != "convolution" or layer.kernel_stride != (1, 1) or fixed:
        return None
    images, wide, rows, columns = layer.inputs[0]
    width = sqrt(wide * layer.shape[1])
    weights = layer.macs / (images * rows * columns)  # K · C_in · C_out, which stays
    return layer.access / (2 * images * rows * columns * width + weights) - 1


def _wasted(layer: LayerCost, extra: float) -> float:
    return layer.access * extra / (1 + extra)


def judge_groups(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """G2: for the same MACs, a grouped convolution moves more the more groups it has."""
    del spec
    grouped = [layer for layer in cost.layers if layer.kind == "grouped"]
    if not grouped:
        return []
    extra = sum(layer.access - dense_access(layer) for layer in grouped)
    dense = sum(dense_access(layer) for layer in grouped)
    worst = max(grouped, key=lambda layer: layer.access - dense_access(layer))
    return [
        RuleFinding(
            "groups",
            worst.name,
            f"{len(grouped)} convolutions in groups, this one in {worst.groups}, cost "
            f"+{extra / dense:.0%} memory access against plain ones of as many MACs",
            "Use fewer groups and fewer channels",
            f"{SHUFFLENET}, G2",
            extra / cost.totals.access,
        )
    ]


def dense_access(layer: LayerCost) -> float:
    """Memory access of a dense convolution with the MACs and input width of a grouped one.

    It has C_out / groups outputs.
    """
    inputs = sum(_numel(shape) for shape in layer.inputs)
    output = _numel(layer.shape)
    return inputs + output / layer.groups + (layer.access - inputs - output)


def judge_depthwise(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """Depthwise convolutions compute little for each byte that they move."""
    del spec
    depthwise = [layer for layer in cost.layers if layer.kind == "depthwise"]
    if not depthwise:
        return []
    rest = [one for one in cost.layers if one.is_convolution and one.kind != "depthwise"]
    sums, others = add_up(depthwise), add_up(rest)
    moved = sums.moved_bytes / cost.totals.moved_bytes
    worst = max(depthwise, key=lambda layer: layer.moved_bytes)
    return [
        RuleFinding(
            "depthwise",
            worst.name,
            f"{sums.layers} depthwise convolutions are {sums.macs / cost.totals.macs:.1%} of the "
            f"MACs and {moved:.1%} of the bytes moved: {sums.intensity:.2g} MACs a byte, against "
            f"{others.intensity:.2g} of the other convolutions",
            "On a device that is short of bandwidth, use plain convolutions at the finest strides, "
            "where channels are few",
            "Roofline, doi 10.1145/1498765.1498785; EfficientNetV2, arXiv 2104.00298, section 3.2",
            moved,
        )
    ]


def judge_fragments(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """G3: many small operations run less in parallel than few large ones."""
    del spec
    convolutions = [layer for layer in cost.layers if layer.is_convolution]
    small = [one for one in convolutions if one.macs < SMALL * cost.totals.macs]
    if not convolutions or len(small) < len(convolutions) / 4:
        return []
    share = sum(one.macs for one in small) / max(1, cost.totals.macs)
    parts: dict[str, int] = {}
    for part in cost.parts:
        members = {id(layer) for layer in part.layers}
        parts[part.name] = sum(id(layer) in members for layer in small)
    worst = max(parts, key=lambda name: parts[name])
    return [
        RuleFinding(
            "fragments",
            worst,
            f"{len(small)} of {len(convolutions)} convolutions have less than {SMALL:.1%} of the "
            f"MACs each, {share:.1%} together; {parts[worst]} of them are here. "
            f"{cost.totals.layers} calls in all",
            "On a device that starts operations slowly, use fewer and wider blocks",
            f"{SHUFFLENET}, G3",
            len(small) / cost.totals.layers,
        )
    ]


def judge_elementwise(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """G4: element-wise operations have no MACs, but are not free."""
    del spec
    idle = [layer for layer in cost.layers if not layer.macs]
    if not idle:
        return []
    kinds: dict[str, int] = {}
    for layer in idle:
        kinds[layer.kind] = kinds.get(layer.kind, 0) + layer.moved_bytes
    total = cost.totals.moved_bytes
    share = sum(kinds.values()) / total
    most = sorted(kinds, key=lambda kind: -kinds[kind])[:4]
    spelt = ", ".join(f"{kind} {kinds[kind] / total:.0%}" for kind in most)
    norms = kinds.get("norm", 0) / total
    worst = max(idle, key=lambda layer: layer.moved_bytes)
    change = "Use an engine that joins them with the convolution in front"
    if not cost.fused and norms:
        change = f"Fold the norms into the convolutions, which saves up to {norms:.0%}: --fused"
    message = f"{len(idle)} layers without MACs move {share:.0%} of all bytes: {spelt}"
    return [RuleFinding("element-wise", worst.name, message, change, f"{SHUFFLENET}, G4", share)]


def judge_shares(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """Share of the cost in backbone, neck and head."""
    if isinstance(spec, CfgSpec) or not cost.totals.macs:
        return []
    shares = {
        group: sum(part.totals.macs for part in cost.parts if part.group == group)
        / cost.totals.macs
        for group in ("backbone", "neck", "head")
    }
    spelt = ", ".join(f"{group} {share:.0%}" for group, share in shares.items())
    late = shares["neck"] + shares["head"]
    kind: Literal["advice", "fact"] = "advice" if late > 0.6 else "fact"
    change = "Narrow the neck, or take a larger backbone" if kind == "advice" else ""
    return [
        RuleFinding(
            "shares", "network", f"MACs: {spelt}", change, f"{SCALED}, section 3", late, kind
        )
    ]


def judge_receptive_field(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """Objects larger than the receptive field are not seen whole; one more stage doubles it."""
    del spec
    last = [layer for layer in cost.layers if layer.receptive_field and layer.stride]
    if not last:
        return []
    coarsest = max(last, key=lambda layer: (layer.stride or (0, 0), layer.receptive_field))
    field, size = coarsest.receptive_field or (0, 0), cost.image_size
    ratio = min(seen / side for seen, side in zip(field, size, strict=True))
    beyond = " and, through a mean over it, the whole image" if coarsest.sees_all else ""
    message = (
        f"The coarsest level, of stride {max(coarsest.stride or (0, 0)):g}, sees {field[0]}×"
        f"{field[1]} pixels{beyond}: {ratio:.2f} of the image of {size[0]}×{size[1]}"
    )
    source = f"{SCALED}, section 3.3, table 6"
    if ratio >= 1:
        return [RuleFinding("receptive field", coarsest.name, message, "", source, 0.0, "fact")]
    change = "Add a stage, which doubles it, or depth at the coarsest stride; or a smaller image"
    return [RuleFinding("receptive field", coarsest.name, message, change, source, 1 - ratio)]


def _numel(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


# Every rule: what it is called, and Rule(cost, spec) → what it found.
RULES: dict[str, Rule] = {
    "unequal widths": judge_unequal_widths,
    "groups": judge_groups,
    "depthwise": judge_depthwise,
    "fragments": judge_fragments,
    "element-wise": judge_elementwise,
    "one-block csp": judge_csp_stages,
    "k·g against b": judge_osa_stages,
    "plain pan": judge_plain_pan,
    "shares": judge_shares,
    "receptive field": judge_receptive_field,
}
