"""Design rules for whole stages: each is compared with another kind of the same width."""

import torch

from ...blocks import STAGES
from ...errors import lookup
from ...specs import CfgSpec, ModelSpec, StageSpec
from ..costs import NetworkCost, Totals, add_up, count_costs, trace_module
from .finding import RuleFinding

CSPNET = "CSPNet, arXiv 1911.11929, section 3"
SCALED = "Scaled-YOLOv4, arXiv 2011.08036"
WORTH = 0.05  # saving of MACs below which a split into two paths is not worth it
CSP_OF_RESIDUAL = {"csp": "residual"}  # a kind of stage, and what it is without the split


def judge_csp_stages(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """A CSP stage of one block saves nothing."""
    if isinstance(spec, CfgSpec):
        return []
    found = []
    widths = [spec.backbone.stem_channels, *(stage.channels for stage in spec.backbone.stages)]
    for index, (stage, width) in enumerate(zip(spec.backbone.stages, widths, strict=False)):
        if stage.kind not in CSP_OF_RESIDUAL:
            continue
        own, plain = count_stage(stage, width), count_stage(as_plain(stage), width)
        saved = 1 - own.macs / plain.macs
        if saved >= WORTH:
            continue
        does = f"saves only {saved:.1%}" if saved >= 0 else f"costs +{-saved:.1%}"
        wasted = max(0.0, own.macs - plain.macs) / own.macs
        name = f"backbone.stages.{index}"
        part = next((one for one in cost.parts if one.name == name), None)
        share = 0.0 if part is None else part.totals.macs / cost.totals.macs
        found.append(
            RuleFinding(
                "one-block csp",
                name,
                f"A CSP stage of {stage.depth} block {does} of the MACs of the residual stage of "
                f"{stage.channels} channels: {own.macs:,} against {plain.macs:,} a cell",
                'Use kind="residual" with bottleneck=0.5 here, as YOLOv4-CSP does',
                f"{SCALED}, section 4.1 (k > 1); {CSPNET}",
                share * wasted,
            )
        )
    return found


def judge_osa_stages(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """k · g against b: when a partial one-shot aggregation has the least CIO."""
    if isinstance(spec, CfgSpec):
        return []
    found = []
    for index, stage in enumerate(spec.backbone.stages):
        if stage.kind != "csp-osa":
            continue
        base, growth, layers = stage.channels // 2, stage.channels // 4, stage.depth + 1
        # both from table 5 of the paper, without h · w
        joined = layers * growth**2 + (layers * growth) ** 2
        partial = layers * growth**2 + (base + layers * growth) ** 2 / 4
        holds = layers * growth > base
        name = f"backbone.stages.{index}"
        part = next((one for one in cost.parts if one.name == name), None)
        share = 0.0 if part is None else part.totals.macs / cost.totals.macs
        found.append(
            RuleFinding(
                "k·g against b",
                name,
                f"k·g = {layers}·{growth} = {layers * growth}, b = {base}: the partial block has a "
                f"CIO of {partial:,.0f}, the plain CSP one {joined:,.0f}. The first is lower from "
                "k·g > b on; the k·g > b/2 of the paper does not follow from its table",
                "" if holds else "Use more layers, or a larger growth",
                f"{SCALED}, section 3.2, tables 4 and 5",
                0.0 if holds else share,
                "fact" if holds else "advice",
            )
        )
    return found


def judge_plain_pan(cost: NetworkCost, spec: ModelSpec | CfgSpec) -> list[RuleFinding]:
    """A path aggregation in CSP form needs about 40 % fewer MACs."""
    if isinstance(spec, CfgSpec) or spec.neck.kind != "pan":
        return []
    neck = spec.neck.replace(kind="csp-pan", spp_depth=None)
    other = count_costs(
        spec.replace(neck=neck),
        image_size=cost.image_size,
        batch=cost.batch,
        precision=cost.precision,
        fused=cost.fused,
    )
    own, csp = (
        sum(part.totals.macs for part in one.parts if part.group == "neck") for one in (cost, other)
    )
    if csp >= own:
        return []
    return [
        RuleFinding(
            "plain pan",
            "neck",
            f"The neck would have {1 - csp / own:.0%} fewer MACs in CSP form: {csp:,} instead of "
            f"{own:,}",
            'Use neck kind="csp-pan", and train it',
            f"{SCALED}, section 4.1 (by 40 %)",
            (own - csp) / cost.totals.macs,
        )
    ]


def as_plain(stage: StageSpec) -> StageSpec:
    """Plain residual stage of the same channels and blocks, without the CSP split."""
    return StageSpec(
        kind=lookup(CSP_OF_RESIDUAL, stage.kind, "stage with a plain form"),
        channels=stage.channels,
        depth=stage.depth,
        stride=stage.stride,
        bottleneck=0.5,
    )


def count_stage(stage: StageSpec, in_channels: int) -> Totals:
    """Cost of a stage for one cell of its output."""
    with torch.device("meta"):
        module = lookup(STAGES, stage.kind, "stage")(
            in_channels, stage.channels, stage.depth, stride=stage.stride, **stage.settings
        )
        trace = trace_module(module.eval(), torch.zeros(1, in_channels, stage.stride, stage.stride))
    return add_up(trace.layers)
