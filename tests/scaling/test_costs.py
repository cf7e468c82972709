"""Costs equal published counts, the papers' closed forms, and what torch's allocator reports."""

import json
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from scantling.backbones import timm_backbone
from scantling.blocks import (
    CspOsaStage,
    CspResNextStage,
    CspStage,
    ResidualStage,
    ResNextBlock,
    fuse_norms,
)
from scantling.checkpoints.model import build_network
from scantling.darknet import read_cfg
from scantling.errors import InvalidSpec, InvalidValue, UnknownName
from scantling.scaling.costs import NetworkCost, add_up, count_costs, part_of, trace_module
from scantling.specs import CATALOG, SIZES, InputSpec, ModelSpec, change_spec
from stand_in import DATA

# Counted from the public files by a script of its own, not by this package.
COUNTED: dict[str, dict[str, Any]] = json.loads((DATA / "counts.json").read_text("utf-8"))


@cache
def costs(spec: ModelSpec) -> NetworkCost:
    return count_costs(spec)


def costs_of(name: str) -> NetworkCost:
    """Of a variant; those that differ in name or input alone are counted once."""
    return costs(CATALOG[name].replace(name="any", input=InputSpec()))


# -- published counts


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_costs_what_its_size_says(name: str):
    cost = costs_of(name)
    assert (cost.parameters, cost.totals.macs) == (SIZES[name].parameters, SIZES[name].macs)
    assert cost.totals.parameters == cost.parameters  # each is read by a layer, and counted once
    assert sum(part.totals.macs for part in cost.parts) == cost.totals.macs


@pytest.mark.parametrize("name", COUNTED["darknet"])
def test_a_cfg_costs_what_was_counted_from_it(name: str, assets: Path):
    expected = COUNTED["darknet"][name]
    spec = read_cfg(assets / "cfg" / f"{name}.cfg")
    cost = count_costs(spec, image_size=expected["image_size"])
    assert cost.parameters == expected["params"]
    assert 2 * cost.totals.macs == expected["conv_flops"]
    assert [part.name for part in cost.parts][:2] == ["layers.0", "layers.1"]
    assert cost.parts[0].about == "convolutional"


def test_variants_cost_what_was_counted_from_the_networks_they_are_named_for():
    for name, expected in COUNTED["scaledyolov4_pytorch"].items():
        ours = costs_of(name if name == "yolov4-p7" else f"{name}-pt")
        assert ours.parameters == expected["params"]
        assert 2 * ours.totals.macs == expected["conv_flops"]
    for name, expected in COUNTED["efficientdet"].items():
        tensorflow = name.startswith("tf_")
        ours = name.removeprefix("tf_").replace("_", "-") + ("" if tensorflow else "-pt")
        if ours in CATALOG or ours.endswith("-ap"):
            cost = costs_of(ours)
            assert cost.parameters == expected["params"]
            macs = expected.get("conv_macs_at_default_size", cost.totals.macs)
            assert cost.totals.macs == macs


# google/automl, efficientdet/README.md: billions of FLOPs, which are MACs; millions of parameters.
AUTOML = {
    "d0": (2.54, 3.9),
    "d1": (6.10, 6.6),
    "d2": (11.0, 8.1),
    "d3": (24.9, 12.0),
    "d4": (55.2, 20.7),
    "d5": (135, 33.7),
    "d6": (226, 51.9),
    "d7": (325, 51.9),
    "d7x": (410, 77.1),
}


@pytest.mark.parametrize("name", AUTOML)
def test_efficientdets_cost_what_automl_publishes(name: str):
    billions, millions = AUTOML[name]
    cost = costs_of(f"efficientdet-{name}")
    assert round(cost.parameters / 1e6, 1) == millions
    # automl counts a multiply-accumulate for each value that is normalised, too
    norms = sum(prod(layer.shape) for layer in cost.layers if layer.kind == "norm")
    assert (cost.totals.macs + norms) / 1e9 == pytest.approx(billions, rel=5e-3)


# -- the papers' closed forms, with w·h = 16·24 cells, b channels, k blocks

CELLS, BASE = 16 * 24, 64


def macs_of(module: nn.Module, channels: int, *, finer: int = 1) -> int:
    with torch.device("meta"):
        image = torch.zeros(1, channels, 16 * finer, 24 * finer)
        return add_up(trace_module(module.to("meta").eval(), image).layers).macs


def res_layer(base: int) -> nn.Module:
    """1×1 to a quarter, 3×3, 1×1 back."""
    return nn.Sequential(
        nn.Conv2d(base, base // 4, 1),
        nn.Conv2d(base // 4, base // 4, 3, padding=1),
        nn.Conv2d(base // 4, base, 1),
    )


def resx_layer(base: int) -> nn.Module:
    """1×1 to a half, 3×3 in 32 groups, 1×1 back."""
    half = base // 2
    return nn.Sequential(
        nn.Conv2d(base, half, 1),
        nn.Conv2d(half, half, 3, padding=1, groups=32),
        nn.Conv2d(half, base, 1),
    )


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_plain_layers_cost_what_table_1_of_scaled_yolov4_says(depth: int):
    squared = CELLS * BASE**2
    assert macs_of(nn.Sequential(*(res_layer(BASE) for _ in range(depth))), BASE) == (
        17 * squared * depth // 16
    )
    assert macs_of(nn.Sequential(*(resx_layer(BASE) for _ in range(depth))), BASE) == (
        137 * squared * depth // 128
    )
    stage = ResidualStage(BASE // 2, BASE, depth)
    assert macs_of(stage, BASE // 2, finer=2) == squared * (9 + 10 * depth) // 2
    assert macs_of(stage.blocks, BASE) == 5 * squared * depth


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_csp_stages_cost_what_their_closed_forms_say(depth: int):
    squared = CELLS * BASE**2
    dark = CspStage(BASE // 2, BASE, depth)
    assert macs_of(dark, BASE // 2, finer=2) * 4 == squared * (18 + 9 + 10 * depth)
    first = CspStage(BASE // 2, BASE, 1, partial=1.0, bottleneck=0.5)
    assert macs_of(first, BASE // 2, finer=2) * 2 == squared * (9 + 20)
    assert macs_of(ResNextBlock(BASE, BASE), BASE) * 32 == squared * (2 * 32 + 9)
    # stride 1, 64 in, branches of 64: enter, bypass, leave, merge of 128, and the blocks
    resx = CspResNextStage(BASE, 2 * BASE, depth, stride=1)
    assert macs_of(resx, BASE) * 32 == squared * (32 * 7 + depth * 73)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_osa_stages_cost_what_their_closed_form_says(depth: int):
    """3×3 to b, k 3×3 of g = b / 2, a 1×1 from k·g to b."""
    growth = BASE // 2
    expected = CELLS * (9 * BASE**2 + 9 * depth * growth**2 + depth * growth * BASE)
    assert macs_of(CspOsaStage(BASE, 2 * BASE, depth), BASE, finer=2) == expected


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_channel_products_are_the_cio_of_table_5_of_scaled_yolov4(layers: int):
    base, growth = 48, 32
    joined = base + layers * growth
    growing = [nn.Conv2d(growth, growth, 3, padding=1) for _ in range(layers)]

    def product(*convolutions: nn.Conv2d) -> int:
        traces = (
            trace_module(one.to("meta"), torch.zeros(2, one.in_channels, 8, 8, device="meta"))
            for one in convolutions
        )
        return sum(add_up(trace.layers).channel_product for trace in traces)

    first = nn.Conv2d(base, growth, 3, padding=1)
    osa = product(first, *growing[1:], nn.Conv2d(joined, joined // 2, 1))
    assert osa == base * growth + (layers - 1) * growth**2 + joined**2 // 2
    csp = product(*growing, nn.Conv2d(layers * growth, layers * growth, 1))
    assert csp == layers * growth**2 + (layers * growth) ** 2
    partial = product(*growing, nn.Conv2d(joined // 2, joined // 2, 1))
    assert partial == layers * growth**2 + joined**2 // 4


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([1, 2, 4]),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 2),
)
def test_memory_access_and_cio_of_a_convolution_are_their_formulas(
    groups: int, wide: int, narrow: int, kernel: int, batch: int
):
    """hw(C_in + C_out) + K · C_in · C_out / groups, and hw(C_in + C_out), of each image."""
    inputs, outputs = wide * groups, narrow * groups
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, device="meta")
    (layer,) = trace_module(conv, torch.zeros(batch, inputs, 6, 10, device="meta")).layers
    maps, weights = 60 * (inputs + outputs) * batch, kernel**2 * inputs * outputs // groups
    assert layer.access == maps + weights
    assert layer.cio == maps
    assert layer.macs == 60 * weights * batch
    assert layer.moved_bytes == 4 * (maps + weights + outputs)  # and the bias
    assert layer.parameters == weights + outputs
    assert layer.intensity == layer.macs / layer.moved_bytes
    depthwise = groups > 1 and wide == 1
    assert layer.kind == ("depthwise" if depthwise else "grouped" if groups > 1 else "convolution")


# -- memory

MEASURED = {
    "yolov4": (256, 1, True),
    "yolov4-tiny": (320, 2, False),
    "yolov4-csp-pt": (256, 1, False),
    "efficientdet-d0": (256, 1, False),
    "efficientdet-lite0": (256, 1, True),
}


def measure_peak(network: nn.Module, images: Tensor) -> int:
    """The most bytes that torch's allocator held at once for a run, and those of the input."""
    with torch.inference_mode():
        network(images)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
            network(images)
    now = peak = 0
    for event in run.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    assert peak > 0
    return peak + images.nbytes


@pytest.mark.parametrize("name", MEASURED)
def test_peak_memory_is_what_the_allocator_of_torch_reports(name: str):
    side, batch, fused = MEASURED[name]
    spec = CATALOG[name].replace(image_size=side)
    network = build_network(spec).eval()
    if fused:
        fuse_norms(network)
    network = network.to(memory_format=torch.channels_last)  # as the engine runs it
    images = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    expected = measure_peak(network, images)
    counted = count_costs(spec, batch=batch, fused=fused)
    assert counted.peak_bytes == pytest.approx(expected, rel=0.05)
    assert max(layer.live_bytes for layer in counted.layers) == counted.peak_bytes
    assert counted.weight_bytes == sum(
        one.nbytes for one in network.state_dict().values() if one.is_floating_point()
    )


# -- what may be asked for


def test_batch_size_and_precision_scale_what_they_should():
    spec = CATALOG["yolov4-tiny"]
    one = count_costs(spec, image_size=256)
    two = count_costs(spec, image_size=256, batch=2)
    larger = count_costs(spec, image_size=(512, 256))
    half = count_costs(spec, image_size=256, precision="bf16")
    eighth = count_costs(spec, image_size=256, precision="int8")
    for more in (two, larger):
        assert more.totals.macs == 2 * one.totals.macs
        assert more.totals.cio == 2 * one.totals.cio
        assert more.totals.activation_bytes == 2 * one.totals.activation_bytes
        assert more.totals.weight_bytes == one.totals.weight_bytes
        assert more.peak_bytes == 2 * one.peak_bytes
    assert half.totals.moved_bytes * 2 == one.totals.moved_bytes
    assert eighth.totals.moved_bytes * 4 == one.totals.moved_bytes
    assert eighth.weight_bytes * 4 == half.weight_bytes * 2 == one.weight_bytes
    assert half.totals.access == one.totals.access


def test_fused_networks_have_no_norms_and_as_many_macs():
    plain, fused = (
        count_costs(CATALOG["efficientdet-d0"], image_size=256, fused=fused)
        for fused in (False, True)
    )
    assert plain.totals.macs == fused.totals.macs
    assert "norm" in {layer.kind for layer in plain.layers}
    assert "norm" not in {layer.kind for layer in fused.layers}
    assert fused.totals.moved_bytes < plain.totals.moved_bytes


@pytest.mark.parametrize("network", ["mobilenetv3_large_100", "resnet18", "convnext_atto"])
def test_networks_of_timm_are_counted_part_by_part(network: str):
    pytest.importorskip("timm")
    spec = change_spec(CATALOG["efficientdet-d0"], {"backbone": timm_backbone(network)})
    cost = count_costs(spec, image_size=256)
    backbone = [part for part in cost.parts if part.group == "backbone"]
    assert backbone[0].name == "backbone.stem"
    assert len(backbone) >= 4
    assert cost.totals.parameters == cost.parameters
    built = sum(parameter.numel() for parameter in build_network(spec).backbone.parameters())
    assert sum(part.totals.parameters for part in backbone) == built


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image_size": 250}, InvalidSpec, "or 256"),
        ({"batch": 0}, InvalidValue, "one image"),
        ({"precision": "fp8"}, UnknownName, "int8"),
    ],
)
def test_what_cannot_be_counted_says_what_can(
    changes: dict[str, object], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        count_costs(CATALOG["yolov4-tiny"], **changes)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("backbone.stem.conv", "backbone.stem"),
        ("backbone.pool", "backbone.stem"),
        ("backbone.network.conv_stem", "backbone.stem"),
        ("backbone.network.blocks.3.1.conv", "backbone.network.blocks.3"),
        ("neck.cells.0.nodes.2", "neck"),
        ("head.boxes.hidden.0", "head.boxes"),
        ("head.predict.0", "head"),
        ("layers.17.conv", "layers.17"),
    ],
)
def test_a_module_belongs_to_the_part_that_one_would_name(module: str, part: str):
    assert part_of(module) == part
