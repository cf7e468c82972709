"""The criterion: fitted to what was published, rising with every ingredient, and no AP."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scantling.scaling.laws import as_small
from scantling.scaling.search.capacity import (
    INGREDIENTS,
    Build,
    build_of,
    capacity,
    fit_criterion,
    fit_non_negative,
    ingredients,
    published_criterion,
)
from scantling.scaling.search.published_points import POINTS, Point
from scantling.scaling.search.table import count_architecture
from scantling.specs import CATALOG, ModelSpec

RECOUNTED = ("yolov4-tiny", "yolov4-csp", "yolov4-csp-s", "efficientdet-d0", "efficientdet-lite0")


def spec_of(name: str) -> ModelSpec:
    if name == "yolov4-csp-s":
        return as_small(CATALOG["yolov4-csp"])
    return CATALOG[name]


def build(point: Point) -> Build:
    return Build(point.field, point.macs, point.convolutions)


@pytest.mark.parametrize("name", RECOUNTED)
def test_the_network_of_a_published_point_counts_as_the_table_says(name: str):
    point = next(one for one in POINTS if one.model == name)
    found = count_architecture(spec_of(name))
    counted = build_of(found.cost, found.receptive_field)
    assert (counted.field, counted.convolutions) == (point.field, point.convolutions)
    assert counted.macs == pytest.approx(point.macs, abs=0.5)


def test_every_published_point_is_of_a_model_in_the_catalogue():
    assert {one.model for one in POINTS} - {"yolov4-csp-s"} <= set(CATALOG)


def test_the_fit_is_the_best_with_weights_that_are_not_negative():
    criterion = published_criterion()
    rows = np.concatenate([ingredients(build(one), [one.side]) for one in POINTS])
    wanted = np.array([one.ap for one in POINTS])
    weights = np.array(criterion.weights)
    missed = rows @ weights + criterion.offset - wanted
    slopes = rows.T @ missed
    # the conditions of Karush, Kuhn and Tucker
    assert (weights >= 0).all()
    assert missed.sum() == pytest.approx(0, abs=1e-6)
    assert np.abs(slopes[weights > 0]).max() < 1e-6
    assert (slopes[weights == 0] > -1e-6).all()


def test_the_residual_is_what_the_criterion_says_and_is_small():
    criterion = published_criterion()
    assert criterion == fit_criterion(POINTS)
    assert criterion.points == len(POINTS) == 32
    assert criterion.residual < 2
    assert criterion.worst < 5
    assert f"±{criterion.residual:.1f} AP" in criterion.describe()


def test_the_ranking_agrees_with_the_published_one():
    found = [float(capacity(build(one), [one.side])[0]) for one in POINTS]
    ranks = [np.argsort(np.argsort(values)) for values in (found, [one.ap for one in POINTS])]
    assert np.corrcoef(*ranks)[0, 1] > 0.95


def test_the_capacity_of_yolov4_csp_at_640_is_100():
    point = next(one for one in POINTS if (one.model, one.side) == ("yolov4-csp", 640))
    assert capacity(build(point), [640])[0] == pytest.approx(100)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(100, 20_000),
    st.floats(1e3, 1e6),
    st.integers(5, 200),
    st.integers(128, 1536),
    st.sampled_from(["field", "macs", "side"]),
    st.floats(1, 4),
)
def test_capacity_never_falls_with_an_ingredient(
    field: int, macs: float, convolutions: int, side: int, grown: str, factor: float
):
    more = {"field": field, "macs": macs, "side": side}
    more[grown] = more[grown] * factor
    before = capacity(Build(field, macs, convolutions), [side])[0]
    after = capacity(Build(int(more["field"]), more["macs"], convolutions), [int(more["side"])])[0]
    assert after >= before - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 100), st.integers(1, 100))
def test_capacity_rises_with_convolutions_that_are_as_wide(convolutions: int, more: int):
    each = 2000.0
    before = capacity(Build(3000, each * convolutions, convolutions), [640])[0]
    deeper = convolutions + more
    assert capacity(Build(3000, each * deeper, deeper), [640])[0] > before


def test_a_column_that_would_need_a_negative_weight_gets_none():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    weights, offset = fit_non_negative(rows, rows @ np.array([2.0, -1.0, 0.5]) + 3)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(2, abs=0.5)
    assert offset == pytest.approx(3, abs=0.5)


def test_the_page_says_what_the_criterion_is():
    page = (Path(__file__).parents[3] / "docs" / "scale.md").read_text("utf-8")
    criterion = published_criterion()
    for name, weight in zip(INGREDIENTS, criterion.weights, strict=True):
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert float(row.split("|")[-2]) == round(weight, 1)
    assert f"{criterion.residual:.1f} AP in the mean, by {criterion.worst:.1f} at most" in page
    assert f"to {criterion.points} published models" in page
