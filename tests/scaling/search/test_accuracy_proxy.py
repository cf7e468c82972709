"""The criterion: fitted to what was published, rising with every feature, and no AP."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scantling.scaling.laws import as_small
from scantling.scaling.search.accuracy_proxy import (
    FEATURES,
    ProxyInputs,
    fit_non_negative,
    fit_proxy,
    proxy_features,
    proxy_inputs,
    proxy_scores,
    published_proxy,
)
from scantling.scaling.search.architecture_costs import count_architecture
from scantling.scaling.search.published_results import PUBLISHED_RESULTS, PublishedResult
from scantling.specs import CATALOG, ModelSpec

RECOUNTED = ("yolov4-tiny", "yolov4-csp", "yolov4-csp-s", "efficientdet-d0", "efficientdet-lite0")


def spec_of(name: str) -> ModelSpec:
    if name == "yolov4-csp-s":
        return as_small(CATALOG["yolov4-csp"])
    return CATALOG[name]


def build(point: PublishedResult) -> ProxyInputs:
    return ProxyInputs(point.field, point.macs, point.convolutions)


@pytest.mark.parametrize("name", RECOUNTED)
def test_the_network_of_a_published_point_counts_as_the_table_says(name: str):
    point = next(one for one in PUBLISHED_RESULTS if one.model == name)
    found = count_architecture(spec_of(name))
    counted = proxy_inputs(found.cost, found.receptive_field)
    assert (counted.field, counted.convolutions) == (point.field, point.convolutions)
    assert counted.macs == pytest.approx(point.macs, abs=0.5)


def test_every_published_point_is_of_a_model_in_the_catalogue():
    assert {one.model for one in PUBLISHED_RESULTS} - {"yolov4-csp-s"} <= set(CATALOG)


def test_the_fit_is_the_best_with_weights_that_are_not_negative():
    criterion = published_proxy()
    rows = np.concatenate([proxy_features(build(one), [one.side]) for one in PUBLISHED_RESULTS])
    wanted = np.array([one.ap for one in PUBLISHED_RESULTS])
    weights = np.array(criterion.weights)
    missed = rows @ weights + criterion.offset - wanted
    slopes = rows.T @ missed
    # the conditions of Karush, Kuhn and Tucker
    assert (weights >= 0).all()
    assert missed.sum() == pytest.approx(0, abs=1e-6)
    assert np.abs(slopes[weights > 0]).max() < 1e-6
    assert (slopes[weights == 0] > -1e-6).all()


def test_the_residual_is_what_the_criterion_says_and_is_small():
    criterion = published_proxy()
    assert criterion == fit_proxy(PUBLISHED_RESULTS)
    assert criterion.points == len(PUBLISHED_RESULTS) == 32
    assert criterion.residual < 2
    assert criterion.worst < 5
    assert f"±{criterion.residual:.1f} AP" in criterion.describe()


def test_the_ranking_agrees_with_the_published_one():
    found = [float(proxy_scores(build(one), [one.side])[0]) for one in PUBLISHED_RESULTS]
    ranks = [
        np.argsort(np.argsort(values)) for values in (found, [one.ap for one in PUBLISHED_RESULTS])
    ]
    assert np.corrcoef(*ranks)[0, 1] > 0.95


def test_the_capacity_of_yolov4_csp_at_640_is_100():
    point = next(one for one in PUBLISHED_RESULTS if (one.model, one.side) == ("yolov4-csp", 640))
    assert proxy_scores(build(point), [640])[0] == pytest.approx(100)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(100, 20_000),
    st.floats(1e3, 1e6),
    st.integers(5, 200),
    st.integers(128, 1536),
    st.sampled_from(["field", "macs", "side"]),
    st.floats(1, 4),
)
def test_capacity_never_falls_with_a_feature(
    field: int, macs: float, convolutions: int, side: int, grown: str, factor: float
):
    more = {"field": field, "macs": macs, "side": side}
    more[grown] = more[grown] * factor
    before = proxy_scores(ProxyInputs(field, macs, convolutions), [side])[0]
    after = proxy_scores(
        ProxyInputs(int(more["field"]), more["macs"], convolutions), [int(more["side"])]
    )[0]
    assert after >= before - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 100), st.integers(1, 100))
def test_capacity_rises_with_convolutions_that_are_as_wide(convolutions: int, more: int):
    each = 2000.0
    before = proxy_scores(ProxyInputs(3000, each * convolutions, convolutions), [640])[0]
    deeper = convolutions + more
    assert proxy_scores(ProxyInputs(3000, each * deeper, deeper), [640])[0] > before


def test_a_column_that_would_need_a_negative_weight_gets_none():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    weights, offset = fit_non_negative(rows, rows @ np.array([2.0, -1.0, 0.5]) + 3)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(2, abs=0.5)
    assert offset == pytest.approx(3, abs=0.5)


def test_the_page_says_what_the_criterion_is():
    page = (Path(__file__).parents[3] / "docs" / "scale.md").read_text("utf-8")
    criterion = published_proxy()
    for name, weight in zip(FEATURES, criterion.weights, strict=True):
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert float(row.split("|")[-2]) == round(weight, 1)
    assert f"{criterion.residual:.1f} AP in the mean, by {criterion.worst:.1f} at most" in page
    assert f"to {criterion.points} published models" in page
