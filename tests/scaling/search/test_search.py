"""The search: nothing better is missed, looser budgets never lead to worse, and it says why."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scantling.errors import InfeasibleBudget, InvalidValue
from scantling.scaling.costs import NetworkCost
from scantling.scaling.search.budget import (
    Budget,
    parse_bytes,
    parse_count,
    parse_pixels,
    parse_seconds,
    show_value,
    smallest_object,
)
from scantling.scaling.search.rows import Field, Spans, macs_at, make_field
from scantling.scaling.search.search import Fit, search
from scantling.specs import CATALOG, ModelSpec

MACS_A_SECOND, BYTES_A_SECOND = 2e11, 2e10
LEAST = {"latency": 1e-4, "memory": 2e6, "parameters": 4e5, "macs": 2e7}
MOST = {"latency": 20.0, "memory": 3e9, "parameters": 3e8, "macs": 1e12}


def roofline(_: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> Spans:
    """Seconds of an imagined device: each layer computes or waits for memory; ±10 %."""
    area = (np.array(sides) / cost.image_size[0]) ** 2
    macs = np.array([one.macs for one in cost.layers])[:, None] / MACS_A_SECOND
    moved = np.array([one.activation_bytes for one in cost.layers])[:, None] / BYTES_A_SECOND
    seconds = np.maximum(macs * area, moved * area).sum(axis=0) + 5e-6 * len(cost.layers)
    return Spans(seconds, seconds * 0.9, seconds * 1.1)


@pytest.fixture(scope="module")
def everything() -> Field:
    return make_field("both", image=(480, 640), latency=roofline)


def rank(field: Field, fit: Fit) -> int:
    names = [field.name(int(row)) for row in field.order]
    return names.index(fit.costs.name)


def budgets() -> st.SearchStrategy[Budget]:
    shares = st.none() | st.floats(0, 1)
    return st.builds(
        lambda **given: Budget(
            **{
                name: LEAST[name] * (MOST[name] / LEAST[name]) ** share
                for name, share in given.items()
                if share is not None and name in LEAST
            },
            min_object=given["min_object"],
        ),
        latency=shares,
        memory=shares,
        parameters=shares,
        macs=shares,
        min_object=st.none() | st.floats(5, 60),
    )


@settings(max_examples=120, deadline=None)
@given(budgets(), st.floats(1, 5), st.sampled_from([*LEAST, "min_object"]))
def test_a_looser_budget_never_leads_to_a_model_that_ranks_lower(
    everything: Field, budget: Budget, factor: float, name: str
):
    try:
        tight = search(budget, everything)
    except InfeasibleBudget:
        return
    own = getattr(budget, name)
    loose = replace(budget, **{name: None if own is None else own * factor})
    assert rank(everything, search(loose, everything)) <= rank(everything, tight)


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_nothing_within_the_budget_has_more_capacity(everything: Field, budget: Budget):
    columns = {name: everything.limit_value(name) for name in budget.limits}
    within = [
        row
        for row in range(len(everything))
        if all(columns[name][row] <= limit for name, limit in budget.limits.items())
    ]
    if not within:
        with pytest.raises(InfeasibleBudget):
            search(budget, everything)
        return
    fit = search(budget, everything)
    assert fit.feasible == len(within)
    assert fit.costs.capacity == pytest.approx(max(everything.capacity[row] for row in within))
    for name, limit in budget.limits.items():
        assert max(fit.costs.values[name], *fit.costs.bars.get(name, (0,))) <= limit


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_what_is_said_to_be_reachable_is_enough(everything: Field, budget: Budget):
    try:
        search(budget, everything)
    except InfeasibleBudget as problem:
        name = problem.constraint
        alone = [one for one in budget.limits if one != name]
        others = replace(budget, **{_field_name(name): None})
        try:
            search(others, everything)
        except InfeasibleBudget:
            assert alone  # several are in the way
            return
        value = _reach(name, problem.fix)
        search(replace(budget, **{_field_name(name): value}), everything)


def _field_name(constraint: str) -> str:
    return {"MACs": "macs", "object": "min_object"}.get(constraint, constraint)


def _reach(constraint: str, fix: str) -> float:
    text = fix.split()[2]
    parse = {"latency": parse_seconds, "memory": parse_bytes, "object": parse_pixels}
    value = parse.get(constraint, parse_count)(text, option="fix")
    assert value is not None
    return value


def test_the_choice_is_the_same_every_time(everything: Field):
    budget = Budget(latency=0.05, parameters=8e6)
    again = make_field("both", image=(480, 640), latency=roofline)
    assert search(budget, everything) == search(budget, again)


def test_the_neighbours_rank_higher_and_break_what_they_are_said_to_break(everything: Field):
    budget = Budget(latency=0.05, parameters=8e6, min_object=12)
    fit = search(budget, everything)
    assert fit.neighbours
    for one in fit.neighbours:
        assert one.costs.capacity >= fit.costs.capacity - 1e-9
        assert one.value > one.limit == budget.limits[one.constraint]
    for other in fit.runners_up:
        assert other.capacity <= fit.costs.capacity + 1e-9
        assert other.bars["latency"][1] <= 0.05


def test_the_binding_constraint_is_the_one_that_stands_in_the_way(everything: Field):
    assert search(Budget(latency=0.02, parameters=1e9), everything).binding == "latency"
    assert search(Budget(latency=100, parameters=5e6), everything).binding == "parameters"
    assert search(Budget(latency=1e3), everything).binding is None


def test_no_candidate_beats_the_front(everything: Field):
    fit = search(Budget(latency=0.05), everything)
    assert fit.axis == "latency"
    seconds = np.array([one.values["latency"] for one in fit.front])
    heights = np.array([one.capacity for one in fit.front])
    assert (np.diff(seconds) > 0).all()
    assert (np.diff(heights) > 0).all()
    reached = heights[np.searchsorted(seconds, everything.values["latency"], side="right") - 1]
    assert (everything.capacity <= reached + 1e-6).all()


def test_a_latency_without_a_device_is_refused():
    field = make_field("yolov4", image=(480, 640), kinds=("tiny",))
    with pytest.raises(InvalidValue, match="device profile"):
        search(Budget(latency=0.01), field)


def test_an_impossible_budget_names_what_is_in_the_way_and_the_least_there_is(everything: Field):
    with pytest.raises(InfeasibleBudget, match=r"parameters at most 1 k .* 417 k .*tiny") as caught:
        search(Budget(parameters=1e3), everything)
    assert caught.value.constraint == "parameters"
    with pytest.raises(InfeasibleBudget, match="with --macs 500 M"):
        search(Budget(macs=5e8, min_object=8), everything)


def test_the_spec_of_the_choice_is_built_as_large_as_was_said():
    from scantling.scaling.costs import count_costs

    field = make_field("both", image=(480, 640), num_classes=7)
    fit = search(Budget(macs=2e9, parameters=4e6), field, num_classes=7)
    built = count_costs(fit.spec)
    assert fit.spec.num_classes == 7
    assert built.totals.macs == fit.costs.values["MACs"]
    assert built.parameters == fit.costs.values["parameters"]


def test_small_objects_ask_for_a_large_input_or_a_fine_level():
    field = make_field("both", image=(1080, 1920))
    fit = search(Budget(macs=20e9, min_object=20), field)
    scale = fit.spec.image_size[0] / 1920
    assert 20 * scale >= 1.5 * fit.spec.strides[0]
    free = search(Budget(macs=20e9), field)
    assert free.costs.capacity >= fit.costs.capacity


def test_the_smallest_object_is_one_and_a_half_cells_or_half_of_the_smallest_anchor():
    assert smallest_object(CATALOG["yolov4-csp"], 640, (480, 640)) == 12
    assert smallest_object(CATALOG["yolov4-tiny"], 320, (480, 640)) == 48
    assert smallest_object(CATALOG["efficientdet-d0"], 512, (512, 512)) == pytest.approx(
        32 * 0.7 * 1.4 * 2**-0.5, rel=0.03
    )


@pytest.mark.parametrize(
    ("text", "parse", "value"),
    [
        ("12ms", parse_seconds, 0.012),
        ("0.012s", parse_seconds, 0.012),
        (" 3 us", parse_seconds, 3e-6),
        ("200MB", parse_bytes, 2e8),
        ("1.5GiB", parse_bytes, 1.5 * 2**30),
        ("5M", parse_count, 5e6),
        ("10G", parse_count, 1e10),
        ("20px", parse_pixels, 20),
        ("20", parse_pixels, 20),
    ],
)
def test_units_are_understood(text: str, parse: object, value: float):
    assert parse(text, option="--it") == pytest.approx(value)  # type: ignore[operator]


@pytest.mark.parametrize("text", ["12", "ms", "-3ms", "0ms", "12 minutes", "1e400s", "", "nan s"])
def test_a_time_that_is_none_is_refused(text: str):
    with pytest.raises(InvalidValue, match="12ms"):
        parse_seconds(text, option="--latency")


def test_values_are_shown_as_they_are_written():
    assert show_value("latency", 0.0123) == "12.3 ms"
    assert show_value("latency", 2.5) == "2.5 s"
    assert show_value("memory", 2.5e8) == "250 MB"
    assert show_value("MACs", 1.25e10) == "12.5 G"


def test_macs_grow_with_the_area_except_behind_a_mean_over_the_image():
    from scantling.scaling.search.candidates import list_candidates
    from scantling.scaling.search.rows import counted_with

    own = next(one for one in list_candidates() if one.name == "d0").spec
    cost = counted_with(own, 80).cost
    one, four = macs_at(cost, [512, 1024])
    assert 3.9 < four / one < 4
