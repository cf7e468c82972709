"""The search: nothing better is missed, looser budgets never lead to worse, and it says why."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

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
from scantling.scaling.search.candidate_search import SearchResult, search_candidates
from scantling.scaling.search.candidate_table import (
    CandidateTable,
    CostEstimates,
    macs_at,
    make_candidate_table,
)
from scantling.specs import CATALOG, ModelSpec

MACS_A_SECOND, BYTES_A_SECOND = 2e11, 2e10
LEAST = {"latency": 1e-4, "memory": 2e6, "parameters": 4e5, "macs": 2e7}
MOST = {"latency": 20.0, "memory": 3e9, "parameters": 3e8, "macs": 1e12}


def roofline(_: ModelSpec, cost: NetworkCost, sides: Sequence[int]) -> CostEstimates:
    """Seconds of an imagined device: each layer computes or waits for memory; ±10 %."""
    area = (np.array(sides) / cost.image_size[0]) ** 2
    macs = np.array([one.macs for one in cost.layers])[:, None] / MACS_A_SECOND
    moved = np.array([one.activation_bytes for one in cost.layers])[:, None] / BYTES_A_SECOND
    seconds = np.maximum(macs * area, moved * area).sum(axis=0) + 5e-6 * len(cost.layers)
    return CostEstimates(seconds, seconds * 0.9, seconds * 1.1)


@pytest.fixture(scope="module")
def everything() -> CandidateTable:
    return make_candidate_table("both", image=(480, 640), cost_models={"latency": roofline})


def rank(table: CandidateTable, result: SearchResult) -> int:
    names = [table.name(int(row)) for row in table.order]
    return names.index(result.costs.name)


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
    everything: CandidateTable, budget: Budget, factor: float, name: str
):
    try:
        tight = search_candidates(budget, everything)
    except InfeasibleBudget:
        return
    own = getattr(budget, name)
    loose = replace(budget, **{name: None if own is None else own * factor})
    assert rank(everything, search_candidates(loose, everything)) <= rank(everything, tight)


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_nothing_within_the_budget_has_more_capacity(everything: CandidateTable, budget: Budget):
    columns = {name: everything.limit_value(name) for name in budget.limits}
    within = [
        row
        for row in range(len(everything))
        if all(columns[name][row] <= limit for name, limit in budget.limits.items())
    ]
    if not within:
        with pytest.raises(InfeasibleBudget):
            search_candidates(budget, everything)
        return
    result = search_candidates(budget, everything)
    assert result.feasible == len(within)
    assert result.costs.accuracy_proxy == pytest.approx(
        max(everything.accuracy_proxy[row] for row in within)
    )
    for name, limit in budget.limits.items():
        assert max(result.costs.values[name], *result.costs.bars.get(name, (0,))) <= limit


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_what_is_said_to_be_reachable_is_enough(everything: CandidateTable, budget: Budget):
    try:
        search_candidates(budget, everything)
    except InfeasibleBudget as problem:
        name = problem.constraint
        alone = [one for one in budget.limits if one != name]
        others = replace(budget, **{_field_name(name): None})
        try:
            search_candidates(others, everything)
        except InfeasibleBudget:
            assert alone  # several are in the way
            return
        value = _reach(name, problem.fix)
        search_candidates(replace(budget, **{_field_name(name): value}), everything)


def _field_name(constraint: str) -> str:
    return {"MACs": "macs", "object": "min_object"}.get(constraint, constraint)


def _reach(constraint: str, fix: str) -> float:
    text = fix.split()[2]
    parse = {"latency": parse_seconds, "memory": parse_bytes, "object": parse_pixels}
    value = parse.get(constraint, parse_count)(text, option="fix")
    assert value is not None
    return value


def test_the_choice_is_the_same_every_time(everything: CandidateTable):
    budget = Budget(latency=0.05, parameters=8e6)
    again = make_candidate_table("both", image=(480, 640), cost_models={"latency": roofline})
    assert search_candidates(budget, everything) == search_candidates(budget, again)


def test_the_neighbours_rank_higher_and_break_what_they_are_said_to_break(
    everything: CandidateTable,
):
    budget = Budget(latency=0.05, parameters=8e6, min_object=12)
    result = search_candidates(budget, everything)
    assert result.neighbours
    for one in result.neighbours:
        assert one.costs.accuracy_proxy >= result.costs.accuracy_proxy - 1e-9
        assert one.value > one.limit == budget.limits[one.constraint]
    for other in result.runners_up:
        assert other.accuracy_proxy <= result.costs.accuracy_proxy + 1e-9
        assert other.bars["latency"][1] <= 0.05


def test_the_binding_constraint_is_the_one_that_stands_in_the_way(everything: CandidateTable):
    assert search_candidates(Budget(latency=0.02, parameters=1e9), everything).binding == "latency"
    assert (
        search_candidates(Budget(latency=100, parameters=5e6), everything).binding == "parameters"
    )
    assert search_candidates(Budget(latency=1e3), everything).binding is None


def test_no_candidate_beats_the_front(everything: CandidateTable):
    result = search_candidates(Budget(latency=0.05), everything)
    assert result.axis == "latency"
    seconds = np.array([one.values["latency"] for one in result.front])
    heights = np.array([one.accuracy_proxy for one in result.front])
    assert (np.diff(seconds) > 0).all()
    assert (np.diff(heights) > 0).all()
    reached = heights[np.searchsorted(seconds, everything.values["latency"], side="right") - 1]
    assert (everything.accuracy_proxy <= reached + 1e-6).all()


def test_a_latency_without_a_device_is_refused():
    table = make_candidate_table("yolov4", image=(480, 640), kinds=("tiny",))
    with pytest.raises(InvalidValue, match="device profile"):
        search_candidates(Budget(latency=0.01), table)


def test_an_impossible_budget_names_what_is_in_the_way_and_the_least_there_is(
    everything: CandidateTable,
):
    with pytest.raises(InfeasibleBudget, match=r"parameters at most 1 k .* 417 k .*tiny") as caught:
        search_candidates(Budget(parameters=1e3), everything)
    assert caught.value.constraint == "parameters"
    with pytest.raises(InfeasibleBudget, match="with --macs 500 M"):
        search_candidates(Budget(macs=5e8, min_object=8), everything)


def test_the_spec_of_the_choice_is_built_as_large_as_was_said():
    from scantling.scaling.costs import count_costs

    table = make_candidate_table("both", image=(480, 640), num_classes=7)
    result = search_candidates(Budget(macs=2e9, parameters=4e6), table, num_classes=7)
    built = count_costs(result.spec)
    assert result.spec.num_classes == 7
    assert built.totals.macs == result.costs.values["MACs"]
    assert built.parameters == result.costs.values["parameters"]


def test_small_objects_ask_for_a_large_input_or_a_fine_level():
    table = make_candidate_table("both", image=(1080, 1920))
    result = search_candidates(Budget(macs=20e9, min_object=20), table)
    scale = result.spec.image_size[0] / 1920
    assert 20 * scale >= 1.5 * result.spec.strides[0]
    free = search_candidates(Budget(macs=20e9), table)
    assert free.costs.accuracy_proxy >= result.costs.accuracy_proxy


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
    from scantling.scaling.search.candidate_table import cost_with_classes
    from scantling.scaling.search.candidates import list_candidates

    own = next(one for one in list_candidates() if one.name == "d0").spec
    cost = cost_with_classes(own, 80).cost
    one, four = macs_at(cost, [512, 1024])
    assert 3.9 < four / one < 4
