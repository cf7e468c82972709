"""The rules of design find what the papers say of the networks that they wrote about."""

from functools import cache
from math import sqrt

import pytest
import torch
from torch import nn

from scantling.scaling.analysis import RULES, RuleFinding, analyze
from scantling.scaling.analysis.rules import dense_access, extra_access
from scantling.scaling.analysis.stage_rules import as_plain, count_stage
from scantling.scaling.costs import trace_module
from scantling.specs import CATALOG, StageSpec, change_spec


@cache
def findings_of(name: str, **settings: object) -> tuple[RuleFinding, ...]:
    return analyze(CATALOG[name], **settings).findings


def found(name: str, rule: str, **settings: object) -> list[RuleFinding]:
    return [finding for finding in findings_of(name, **settings) if finding.rule == rule]


def test_the_first_stage_of_yolov4_costs_more_than_the_residual_that_yolov4_csp_has():
    """59,392 = 64² (9/2 + 10), 38,912 = 64² (9/2 + 5): spec of the CSP stages, k = 1."""
    (finding,) = found("yolov4", "one-block csp")
    assert finding.where == "backbone.stages.0"
    assert "costs +52.6%" in finding.message
    assert "59,392 against 38,912" in finding.message
    assert 'kind="residual"' in finding.change
    assert not found("yolov4-csp", "one-block csp")


@pytest.mark.parametrize(("depth", "saved"), [(1, 0.25 / 9.5), (8, (5 * 4 - 2.25) / 44.5)])
def test_a_csp_stage_saves_what_its_closed_form_says(depth: int, saved: float):
    stage = StageSpec(kind="csp", channels=128, depth=depth)
    own, plain = count_stage(stage, 64).macs, count_stage(as_plain(stage), 64).macs
    assert 1 - own / plain == pytest.approx(saved)


def test_the_neck_of_yolov4_would_be_cheaper_in_csp_form_by_what_the_paper_says():
    (finding,) = found("yolov4", "plain pan")
    assert "37% fewer MACs" in finding.message  # "by 40 %"
    assert not found("yolov4-csp", "plain pan")


def test_the_tiny_network_meets_the_condition_on_its_growth():
    findings = found("yolov4-tiny", "k·g against b")
    assert [one.where[-1] for one in findings] == ["1", "2", "3"]
    assert all(one.kind == "fact" for one in findings)
    assert "3·32 = 96, b = 64" in findings[0].message
    assert "9,472" in findings[0].message  # 3·32² + (64 + 96)² / 4
    assert "12,288" in findings[0].message  # 3·32² + 96²


def test_too_little_growth_is_advised_against():
    tiny = CATALOG["yolov4-tiny"]
    stages = tuple(
        stage.replace(depth=1) if stage.kind == "csp-osa" else stage
        for stage in tiny.backbone.stages
    )
    spec = tiny.replace(backbone=tiny.backbone.replace(stages=stages))
    findings = [one for one in analyze(spec).findings if one.rule == "k·g against b"]
    assert all(one.kind == "advice" and one.change for one in findings)
    assert len(findings) == 3


@pytest.mark.parametrize(("wide", "narrow"), [(16, 96), (96, 16), (64, 64), (32, 64)])
def test_unequal_widths_cost_what_the_formula_says(wide: int, narrow: int):
    conv = nn.Sequential(nn.Conv2d(3, wide, 1), nn.Conv2d(wide, narrow, 3, padding=1))
    *_, layer = trace_module(conv.to("meta"), torch.zeros(2, 3, 40, 30, device="meta")).layers
    cells, weights, width = 2 * 1200, 9 * wide * narrow, sqrt(wide * narrow)
    expected = (cells * (wide + narrow) + weights) / (2 * cells * width + weights) - 1
    assert extra_access(layer) == pytest.approx(expected)


def test_inverted_residuals_are_named_for_their_unequal_widths():
    findings = found("efficientdet-d0", "unequal widths")
    assert findings[0].where == "backbone.stages.1.blocks.0.expand.conv"
    assert "C_in 16 ≠ C_out 96 costs +43%" in findings[0].message


def test_what_reads_the_image_or_predicts_from_it_is_not_named():
    layers = analyze(CATALOG["yolov4-tiny"]).cost.layers
    free = [layer for layer in layers if layer.is_convolution and extra_access(layer) is None]
    assert layers[0] in free
    assert {layer.name for layer in free} >= {"head.predict.0", "head.predict.1"}


def test_grouped_convolutions_are_held_against_plain_ones_of_as_many_macs():
    grouped = nn.Conv2d(64, 64, 3, padding=1, groups=32, device="meta")
    plain = nn.Conv2d(64, 2, 3, padding=1, device="meta")
    image = torch.zeros(1, 64, 20, 20, device="meta")
    (layer,), (other,) = (trace_module(one, image).layers for one in (grouped, plain))
    assert layer.macs == other.macs
    assert dense_access(layer) == other.access
    (finding,) = found("yolov4-csresnext50", "groups")
    assert "in groups, this one in 32" in finding.message
    assert not found("yolov4", "groups")


def test_depthwise_layers_are_a_small_part_of_the_macs_and_a_large_one_of_the_traffic():
    (finding,) = found("efficientdet-d0", "depthwise", fused=True)
    assert "8.7% of the MACs" in finding.message
    assert finding.share_of_cost > 0.087
    assert not found("yolov4-p5", "depthwise")


def test_folding_the_norms_is_advised_until_it_is_done():
    assert "--fused" in found("yolov4", "element-wise")[0].change
    assert "--fused" not in found("yolov4", "element-wise", fused=True)[0].change


def test_a_receptive_field_that_is_too_small_asks_for_a_stage():
    assert found("yolov4-tiny", "receptive field")[0].kind == "advice"
    smaller = found("yolov4-tiny", "receptive field", image_size=320)
    assert smaller[0].kind == "fact"
    assert "sees 331×331" in smaller[0].message


def test_a_wide_neck_is_a_large_share():
    spec = change_spec(CATALOG["yolov4-tiny"], {"neck__channels": (1024, 2048)})
    (finding,) = (one for one in analyze(spec).findings if one.rule == "shares")
    assert (finding.kind, finding.change.partition(",")[0]) == ("advice", "Narrow the neck")
    assert found("yolov4-tiny", "shares")[0].kind == "fact"


def test_every_finding_names_its_rule_its_source_and_what_is_at_stake():
    for name in ("yolov4", "yolov4-csresnext50", "efficientdet-d0"):
        findings = findings_of(name)
        assert {one.rule for one in findings} <= set(RULES)
        assert all("arXiv" in one.source or "doi" in one.source for one in findings)
        assert all(0 <= one.share_of_cost <= 1 for one in findings)
        advice = [one.share_of_cost for one in findings if one.kind == "advice"]
        assert advice == sorted(advice, reverse=True)
        assert all(one.change for one in findings if one.kind == "advice")
