"""The latency model finds the cost function of a made-up device, of which only chains are known."""

from functools import cache
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from scantling.errors import UnknownName
from scantling.scaling.costs import count_costs
from scantling.scaling.device_profile import (
    KINDS as ROW_KINDS,
    ChainSample,
    DeviceProfile,
    Peak,
    Residuals,
)
from scantling.scaling.latency import (
    LatencyModel,
    OperationTable,
    predict_latency,
    predict_memory,
    tabulate,
    tabulate_cost,
)
from scantling.scaling.latency.fitting import cross_validate
from scantling.scaling.latency.operation_table import CONVOLUTIONS, KINDS, PLACE
from scantling.scaling.latency.terms import PeakRates, evaluate, make_terms
from scantling.scaling.profiling.random_chains import draw_chains
from scantling.scaling.profiling.torch_chain import count_chain
from scantling.specs import find_spec

NAMES = ("yolov4-tiny", "yolov4-csp", "efficientdet-d0")


def true_seconds(table: OperationTable) -> float:
    """A device that fuses activations, computes wide convolutions faster, and is slow at others."""
    macs, width = table.macs, np.minimum(table["entering"] / table["groups"], table["leaving"])
    rate = 8e10 * width / (width + 24)
    depthwise = table["kind"] == PLACE["depthwise"]
    convolves = table["kind"] < len(CONVOLUTIONS)
    seconds = np.where(depthwise, macs / 6e9, np.where(convolves, macs / rate, 0))
    fused = np.isin(table["kind"], [PLACE[kind] for kind in ("mish", "leaky_relu", "silu", "add")])
    seconds = seconds + np.where(fused, 0, table.moved * 4 / 1.5e10)
    seconds = seconds + np.where(fused, 0, 8e-6) + table.weights * 4 / 2.5e10
    return float((seconds * table["count"]).sum())


@cache
def chains(count: int) -> tuple[OperationTable, ...]:
    return tuple(count_chain(chain) for chain in islice(draw_chains(3), count))


@cache
def network(name: str, size: int) -> OperationTable:
    return tabulate(find_spec(name), image_size=size)


@cache
def made_up_profile(noise: float = 0.02) -> DeviceProfile:
    random = np.random.default_rng(0)
    return DeviceProfile(
        machine={"processor": "made up"},
        engine="openvino",
        engine_version="0",
        device="cpu",
        precision="fp32",
        threads=2,
        peak=Peak(macs_per_second=8e10, bytes_per_second=2e10, precision="fp32"),
        samples=tuple(
            ChainSample(
                primitive="chain",
                operations=table.as_rows(),
                seconds=true_seconds(table) * float(np.exp(noise * random.standard_normal())),
                spread=noise,
            )
            for table in chains(176)
        ),
        whole=Residuals(low=-0.1, median=0.0, high=0.1, error=0.05),
        created="2026-11-22",
        minutes=2.0,
    )


@cache
def model() -> LatencyModel:
    return LatencyModel(made_up_profile())


def errors() -> NDArray[np.float64]:
    found = []
    for name in NAMES:
        for size in (256, 384, 512):
            table = network(name, size)
            found.append(model().predict(table).seconds / true_seconds(table) - 1)
    return np.abs(found)


def test_networks_are_predicted_when_only_chains_were_seen():
    assert np.median(errors()) < 0.05
    assert errors().max() < 0.15


def test_the_error_bar_holds_most_unseen_chains():
    tables = chains(176)
    seconds = np.array([true_seconds(table) for table in tables])
    fitted = cross_validate(tables, seconds, np.full(len(tables), 0.02), model().rates)
    low, high = np.exp(np.percentile(fitted.unseen, [5, 95]))
    unseen = [count_chain(chain) for chain in islice(draw_chains(99), 44)]
    ratios = np.array([true_seconds(t) for t in unseen]) / model().seconds_of(unseen)
    assert ((ratios > low) & (ratios < high)).mean() > 0.7


def test_an_outlier_among_the_chains_changes_little():
    tables = list(chains(176))
    seconds = np.array([true_seconds(table) for table in tables])
    spoilt = seconds.copy()
    spoilt[::25] *= 5
    rates = PeakRates(8e10, 2e10)
    fitted = cross_validate(tables, spoilt, np.full(len(tables), 0.02), rates)
    assert np.median(np.abs(fitted.unseen)) < 0.1


def test_fused_activations_are_found_to_cost_nothing():
    table = network("yolov4-csp", 384)
    groups = make_terms([table], model().rates)
    seconds = evaluate(groups, model().coefficients)
    whole = sum(float(one.sum()) for one in seconds.values())
    mish = sum(
        float(seconds[name][group.kinds == PLACE["mish"]].sum()) for name, group in groups.items()
    )
    assert 0 < mish < 0.05 * whole
    assert whole == pytest.approx(model().predict(table).seconds)


def test_many_networks_at_once_are_as_each_alone():
    tables = [network(name, 256) for name in NAMES] * 30
    alone = [model().predict(table).seconds for table in tables[:3]] * 30
    np.testing.assert_allclose(model().seconds_of(tables), alone, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [256, 640])
def test_a_table_of_another_size_is_that_of_the_network_at_that_size(name: str, size: int):
    scaled = network(name, 384).scaled(size / 384, size / 384)
    own = network(name, size)
    if name != "efficientdet-d0":  # its padding is not in proportion
        assert sorted(scaled.as_rows()) == sorted(own.as_rows())
    assert model().predict(scaled).seconds == pytest.approx(model().predict(own).seconds, rel=0.02)


def test_sizes_are_computed_together():
    table = network("yolov4-tiny", 384)
    found = model().latency_of(table, [(1, 1), (2, 2), (1, 2)])
    assert found[0] == pytest.approx(model().predict(table).seconds)
    assert found[0] < found[2] < found[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_work_in_a_table_is_that_of_the_counted_network(name: str):
    table, cost = network(name, 256), count_costs(find_spec(name), image_size=256, fused=True)
    convolves = table["kind"] < len(CONVOLUTIONS)
    assert (table.macs * table["count"])[convolves].sum() == pytest.approx(cost.totals.macs)
    kernels = sum(layer.weight_bytes for layer in cost.layers if layer.is_convolution) / 4
    assert (table.weights * table["count"]).sum() == pytest.approx(kernels, rel=0.01)


def test_norms_that_are_not_folded_yet_change_nothing():
    spec = find_spec("yolov4-tiny")
    folded, loose = (
        tabulate_cost(spec, count_costs(spec, image_size=256, fused=fused))
        for fused in (True, False)
    )
    assert sorted(folded.as_rows()) == sorted(loose.as_rows())


def test_what_stands_around_a_layer_is_in_its_kind():
    rows = network("efficientdet-d0", 256).as_rows()
    kinds = {KINDS[row[0]] for row in rows}
    assert {"image", "stem", "depthwise", "silu", "late", "weigh", "sum", "scale"} <= kinds
    assert {"vector", "small", "mean", "offsets", "pool", "resize"} <= kinds
    tiny = {KINDS[row[0]] for row in network("yolov4-tiny", 256).as_rows()}
    assert {"slice", "cells", "concat", "leaky_relu"} <= tiny
    assert "other" not in kinds | tiny


def test_a_profile_knows_how_many_kinds_there_are():
    assert len(KINDS) == ROW_KINDS


def test_a_larger_batch_takes_longer():
    spec, profile = find_spec("yolov4-tiny"), made_up_profile()
    one = predict_latency(spec, profile, image_size=256)
    four = predict_latency(spec, profile, image_size=256, batch=4)
    assert one.low <= one.seconds <= one.high
    assert 2 * one.seconds < four.seconds < 5 * one.seconds


def test_memory_grows_with_weights_and_image():
    small = predict_memory(find_spec("yolov4-tiny"), engine="openvino", image_size=416)
    large = predict_memory(find_spec("yolov4-tiny"), engine="openvino", image_size=832)
    heavy = predict_memory(find_spec("yolov4-csp"), engine="openvino", image_size=416)
    assert small.own < large.own < heavy.own
    assert small.low < small.peak < small.high
    with pytest.raises(UnknownName):
        predict_memory(find_spec("yolov4-tiny"), engine="abacus")
