"""The kept counts of the candidates: what a network that is built now counts too."""

from dataclasses import replace

import pytest

from scantling.checkpoints.model import build_empty
from scantling.scaling.costs import NetworkCost, count_costs
from scantling.scaling.search.architecture_costs import (
    count_architecture,
    key_of,
    read_table,
    reference_size,
    with_classes,
)
from scantling.scaling.search.candidate_table import macs_at, weights_and_activations
from scantling.scaling.search.candidates import KINDS, LONGEST_SIDE, Architecture, list_candidates

CHECKED = ("tiny-w0.5", "csp-w0.25-d0.33", "csp-bifpn-w0.5-d0.33", "p6-w0.5-d0.5", "d0", "lite1-4l")


def candidate(name: str) -> Architecture:
    return next(one for one in list_candidates() if one.name == name)


def costs_of(cost: NetworkCost) -> list[object]:
    """What a latency model reads of every layer."""
    return [
        (
            (one.name, one.kind, one.inputs, one.shape, one.kernel, one.macs, one.activation_bytes),
            (one.weight_bytes, one.parameters, one.access, one.cio),
        )
        for one in cost.layers
    ]


def test_the_table_holds_every_candidate():
    missing = [one.name for one in list_candidates() if key_of(one.spec) not in read_table()]
    assert not missing, "run: python docs/candidates.py"


@pytest.mark.parametrize("name", CHECKED)
def test_a_network_that_is_counted_again_costs_what_the_table_says(name: str):
    spec = candidate(name).spec
    assert count_architecture(spec) == read_table()[key_of(spec)]


@pytest.mark.parametrize("name", CHECKED)
def test_costs_for_other_classes_are_those_of_the_network_for_them(name: str):
    own = candidate(name)
    kept = read_table()[key_of(own.spec)]
    built = count_costs(
        own.spec.replace(num_classes=3), image_size=reference_size(own.spec), fused=True
    )
    changed = with_classes(kept.cost, own.spec, 3)
    assert costs_of(changed) == costs_of(built)
    assert changed.parameters == built.parameters
    assert changed.weight_bytes == built.weight_bytes
    whole = build_empty(own.spec.replace(num_classes=3)).parameters()
    more = changed.parameters - kept.cost.parameters
    assert kept.parameters + more == sum(one.numel() for one in whole)


@pytest.mark.parametrize("name", CHECKED)
def test_costs_at_another_size_are_those_of_the_network_there(name: str):
    own = candidate(name)
    side = own.image_sizes[2]
    built = count_costs(own.spec, image_size=side, fused=True)
    kept = read_table()[key_of(own.spec)].cost
    assert macs_at(kept, [side])[0] == built.totals.macs
    memory = weights_and_activations(own.spec, kept, [side]).middle[0]
    assert memory == pytest.approx(built.weight_bytes + built.peak_bytes, rel=0.01)


def test_the_candidates_are_many_of_every_kind_and_all_different():
    found = list_candidates("both")
    assert len(found) > 150
    assert {one.kind for one in found} == set(KINDS)
    assert (
        len({one.name for one in found}) == len({key_of(one.spec) for one in found}) == len(found)
    )
    assert {one.family for one in list_candidates("yolov4")} == {"yolov4"}


def test_every_image_size_is_a_multiple_of_the_coarsest_stride():
    for one in list_candidates():
        assert all(side % one.stride == 0 for side in one.image_sizes), one.name
        assert one.image_sizes[-1] == LONGEST_SIDE


def test_the_published_models_are_among_the_candidates():
    keys = {key_of(one.spec) for one in list_candidates()}
    from scantling.specs import CATALOG
    from scantling.specs.efficientdet import as_pytorch

    for name in ("yolov4-tiny", "yolov4-tiny-3l", "yolov4-csp", "yolov4-p5", "yolov4-p6"):
        assert key_of(CATALOG[name].replace(num_classes=80)) in keys, name
    for name in ("d0", "d3", "d6", "d7x", "lite0", "lite4"):
        spec = as_pytorch(CATALOG[f"efficientdet-{name}"]).replace(num_classes=80)
        assert key_of(spec) in keys, name


def test_an_architecture_is_known_whatever_it_is_called():
    spec = candidate("csp-w0.5-d1").spec
    assert key_of(spec.replace(name="other", image_size=320)) == key_of(spec)
    deeper = replace(candidate("csp-w0.5-d1"), spec=candidate("csp-w0.5-d1.25").spec).spec
    assert key_of(deeper) != key_of(spec)
