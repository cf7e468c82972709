"""The table of sizes is what the built networks say."""

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scantling.blocks import fuse_norms
from scantling.checkpoints.hub import OFFICIAL
from scantling.detector import build_detector
from scantling.specs import CATALOG, SIZES, InputSpec, ModelSpec


def test_every_variant_has_a_size():
    assert list(SIZES) == list(CATALOG)


def test_official_weights_are_those_that_can_be_fetched():
    assert {name for name, size in SIZES.items() if size.weights} == set(OFFICIAL)


@cache
def counted(spec: ModelSpec) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the network, without memory for its tensors."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        detector = build_detector(spec).eval()
        parameters = sum(parameter.numel() for parameter in detector.parameters())
        fuse_norms(detector)  # which count for nothing, and take long on `meta`
        detector(torch.zeros(1, 3, *spec.image_size))
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return parameters, flops // 2


@pytest.mark.parametrize("name", CATALOG)
def test_every_variant_has_the_size_of_its_network(name: str):
    # the name and the input change nothing, so variants that differ in those are counted once
    spec = CATALOG[name].replace(name="any", input=InputSpec())
    assert counted(spec) == (SIZES[name].parameters, SIZES[name].macs)
