"""Chains compute what every engine computes, and cover what networks are made of."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from scantling.errors import InvalidValue, MissingPackage, UnknownName
from scantling.scaling.latency import LatencyModel, tabulate
from scantling.scaling.latency.operation_table import CONVOLUTIONS, KINDS
from scantling.scaling.profiling import measure_device
from scantling.scaling.profiling.chain import Chain, ChainBuilder
from scantling.scaling.profiling.onnx_chain import run_in_onnxruntime, run_in_openvino
from scantling.scaling.profiling.profiler import ChainRunner
from scantling.scaling.profiling.random_chains import (
    LEAST_MACS,
    MOST_MACS,
    WHOLE,
    chain_macs,
    draw_chains,
)
from scantling.scaling.profiling.timing import robust_median, timed
from scantling.scaling.profiling.torch_chain import ChainModule, count_chain, run_in_torch
from scantling.specs import CATALOG, find_spec


def chains(count: int) -> list[Chain]:
    return list(islice(draw_chains(5), count))


def everything() -> Chain:
    """A small chain with a step of every kind but the decoders."""
    chain = ChainBuilder("all", (3, 32, 32), kind="image")
    x = chain.conv(0, 8, "mish", kernel=3, stride=2, odd=True)
    y = chain.conv(x, 8, "leaky_relu", kernel=3, groups=8)
    z = chain.conv(chain.add("half", chain.add("concat", x, y)), 8, "silu", kernel=5)
    scale = chain.conv(chain.conv(chain.add("mean", z), 4, "relu"), 8, "sigmoid")
    z = chain.add("add", chain.add("scale", z, scale), y)
    low = chain.add("pool", z, kernel=3, stride=2)
    raised = chain.add("resize", low)
    chain.add("weighted", raised, z, x)
    return chain.build()


def decoded(kind: str) -> Chain:
    chain = ChainBuilder(kind, (8, 8, 8))
    maps = [0, chain.conv(0, 8, "silu", kernel=3, stride=2)]
    widths = [3 * 7] if kind == "cells" else [9 * 2, 9 * 4]
    raw = [chain.conv(x, width, None) for width in widths for x in maps]
    chain.add(kind, *raw, width=2)
    return chain.build()


@pytest.mark.parametrize("chain", [everything(), decoded("cells"), decoded("offsets")])
def test_onnx_graphs_have_the_shapes_of_the_chain_on_both_runtimes(chain: Chain):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert onnx
    found = run_in_onnxruntime(chain, device="cpu", threads=1)()
    if chain.steps[-1].kind == "weighted":
        channels, rows, columns = chain.shapes()[-1]
        assert [one.shape for one in found] == [(1, channels, rows, columns)]
    else:
        anchors = (64 + 16) * (3 if chain.name == "cells" else 9)
        assert [one.shape for one in found] == [(1, anchors, 4), (1, anchors, 2)]
    assert all(np.isfinite(one).all() for one in found)
    run_in_openvino(chain, precision="fp32", threads=1)()


@pytest.mark.parametrize("kind", ["cells", "offsets"])
def test_torch_decodes_as_many_boxes(kind: str):
    found = run_in_torch(decoded(kind), precision="fp32", device="cpu", threads=1)()
    assert tuple(found.boxes.shape[1:]) == ((64 + 16) * (3 if kind == "cells" else 9), 4)


def test_shapes_of_a_chain_are_those_that_torch_makes():
    for chain in [everything(), *chains(len(WHOLE))]:
        with torch.device("meta"):
            module, x = ChainModule(chain), torch.zeros(1, *chain.size)
        made = [tuple(one.shape[1:]) for one in module(x)]
        shapes = chain.shapes()
        ends = {
            place
            for step in chain.steps
            if step.kind in ("cells", "offsets")
            for place in step.inputs
        }
        places = sorted(ends) or list(chain.outputs)
        assert sorted(made) == sorted(shapes[place] for place in places), chain.name


def test_the_work_of_a_chain_is_what_its_module_is_counted_to_do():
    for chain in chains(len(WHOLE)):
        table = count_chain(chain)
        counted = (table.macs * table["count"])[table["kind"] < len(CONVOLUTIONS)].sum()
        assert counted == pytest.approx(chain_macs(chain)), chain.name


def test_chains_are_the_same_for_the_same_seed_and_within_bounds():
    first, second = chains(66), chains(66)
    assert first == second
    assert first != list(islice(draw_chains(6), 66))
    sizes = [chain_macs(chain) for chain in first]
    assert min(sizes) >= LEAST_MACS
    assert max(sizes) <= MOST_MACS


def test_chains_have_every_kind_of_operation_that_named_networks_have():
    seen = Counter(KINDS[row[0]] for chain in chains(66) for row in count_chain(chain).as_rows())
    for name in ("yolov4-tiny", "yolov4-csp", "yolov4-p5", "yolov4", "efficientdet-d0"):
        rows = tabulate(find_spec(name), image_size=256).as_rows()
        assert {KINDS[row[0]] for row in rows} <= set(seen), name
    assert len(CATALOG) > 5


def test_what_waited_counts_less():
    calm, disturbed = [(1.0, 0.0), (1.1, 0.01), (1.2, 0.0)], [(9.0, 0.9), (8.0, 0.5)]
    assert robust_median([*calm, *disturbed])[0] == pytest.approx(1.1)
    assert robust_median(disturbed)[0] == pytest.approx(8.0)
    seconds, waited = timed(lambda: sum(range(1000)))
    assert seconds > 0
    assert waited >= 0


def test_a_group_of_chains_is_measured_whatever_the_time(logged: list[str]):
    profile = measure_device(engine="torch", threads=1, minutes=0.0)
    assert len(profile.samples) == len(WHOLE)
    assert (profile.engine, profile.threads, profile.precision) == ("torch", 1, "fp32")
    assert profile.peak.macs_per_second > 1e8
    assert profile.peak.bytes_per_second > 1e8
    assert "torch" in logged[0]
    found = LatencyModel(profile).predict(tabulate(find_spec("yolov4-tiny")))
    assert 0 < found.low <= found.seconds <= found.high


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"engine": "abacus"}, UnknownName),
        ({"precision": "int8"}, InvalidValue),
        ({"engine": "torch", "device": "tpu"}, InvalidValue),
        ({"engine": "torch", "threads": 0}, InvalidValue),
        ({"engine": "tensorrt", "device": "cpu"}, (InvalidValue, MissingPackage)),
    ],
)
def test_settings_that_cannot_be_measured_are_refused(
    change: dict[str, Any], error: type[Exception] | tuple[type[Exception], ...]
):
    measure: Callable[..., Any] = measure_device
    with pytest.raises(error):
        measure(**change)


@pytest.mark.parametrize(
    ("precision", "switch"), [("fp32", {}), ("fp16", {"trt_fp16_enable": True})]
)
def test_tensorrt_is_asked_of_onnx_runtime_in_the_precision_of_the_profile(
    precision: str, switch: dict[str, bool], monkeypatch: pytest.MonkeyPatch
):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    asked: list[Any] = []

    def open_session(_content: bytes, _options: Any, providers: list[Any]) -> None:
        asked.extend(providers)

    able = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: able)
    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    chain = next(draw_chains(0))
    ChainRunner("tensorrt", precision, "cuda", 1).prepare(chain)
    device = {"device_id": 0}
    assert asked == [(able[0], device | switch), (able[1], device), able[2]]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: able[1:])
    with pytest.raises(InvalidValue, match="TensorRT"):
        ChainRunner("tensorrt", precision, "cuda", 1).prepare(chain)
