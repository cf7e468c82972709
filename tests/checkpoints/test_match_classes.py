"""Classes are matched by name, on both kinds of network."""

import pytest
import torch

from scantling.blocks import fuse_norms
from scantling.checkpoints import adapt_classes, load_model, load_native, save_model
from scantling.errors import InvalidSpec, InvalidValue
from scantling.specs.classes import COCO_NAMES, DARKNET_COCO_NAMES, match_classes

IMAGES = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["name", "cfg"])
def model(request, assets):
    tiny = assets / "weights" / "yolov4-tiny-coco"
    source = "yolov4-tiny" if request.param == "name" else tiny / "yolov4-tiny.upstream.cfg"
    return load_model(source, weights=tiny / "yolov4-tiny.weights")


@torch.no_grad()
def rows(model):
    """(A, 5 + K, …) per level."""
    width = 5 + model.spec.num_classes
    return [raw.view(3, width, *raw.shape[2:]) for raw in model.network(IMAGES)]


def test_match_goes_by_name_and_not_by_position():
    table = match_classes(("a", "b", "c"), ("c", "x", "a"))
    assert table.kept == ((2, 0, "c"), (0, 2, "a"))
    assert (table.dropped, table.new) == (("b",), ("x",))


def test_match_knows_both_spellings_of_coco():
    table = match_classes(DARKNET_COCO_NAMES, COCO_NAMES)
    assert [(before, now) for before, now, _ in table.kept] == [(i, i) for i in range(80)]
    assert (table.dropped, table.new) == ((), ())


def test_match_ignores_case_and_separators_where_that_is_unambiguous():
    assert match_classes(("Traffic_Light",), ("traffic light",)).kept == ((0, 0, "traffic light"),)


def test_equal_names_go_before_other_spellings():
    table = match_classes(("tv", "TV"), ("TV", "tv"))
    assert table.kept == ((1, 0, "TV"), (0, 1, "tv"))
    assert match_classes(("tvmonitor",), ("tv", "tvmonitor")).kept == ((0, 1, "tvmonitor"),)


def test_one_class_is_never_kept_twice():
    table = match_classes(("tv",), ("TV", "Tv"))
    assert table.kept == ()
    assert table.new == ("TV", "Tv")


@pytest.mark.parametrize("names", [("a", "a"), ("a", ""), ("a", " ")])
def test_names_must_be_names_each_once(names):
    for before, now in ((names, ("a",)), (("a",), names)):
        with pytest.raises(InvalidValue, match="names, each once"):
            match_classes(before, now)


def test_adapted_network_keeps_boxes_and_the_rows_of_its_classes(model):
    adapted, table = adapt_classes(model, ("dog", "alien", "tv", "person"))
    assert [name for _, _, name in table.kept] == ["dog", "tv", "person"]
    assert table.new == ("alien",)
    assert len(table.dropped) == 77
    assert adapted.names == ("dog", "alien", "tv", "person")
    assert adapted.spec.num_classes == 4
    for new, old in zip(rows(adapted), rows(model), strict=True):
        assert new.shape[1] == 9
        torch.testing.assert_close(new[:, :5], old[:, :5])
        for label, name in ((5, "dog"), (7, "tvmonitor"), (8, "person")):
            torch.testing.assert_close(new[:, label], old[:, 5 + DARKNET_COCO_NAMES.index(name)])


def test_adapted_network_leaves_the_given_one_alone(model):
    before = rows(model)
    adapted, _ = adapt_classes(model, ("dog",))
    with torch.no_grad():
        for parameter in adapted.network.parameters():
            parameter.zero_()
    assert all(torch.equal(one, other) for one, other in zip(rows(model), before, strict=True))


def test_adapted_network_can_be_saved_and_trained(model, tmp_path):
    adapted, _ = adapt_classes(model, ("dog", "alien"))
    save_model(adapted, tmp_path / "adapted.safetensors")
    loaded = load_native(tmp_path / "adapted.safetensors")
    assert all(
        torch.equal(one, other) for one, other in zip(rows(loaded), rows(adapted), strict=True)
    )
    sum(raw.sum() for raw in adapted.network(IMAGES)).backward()
    assert all(parameter.grad is not None for parameter in adapted.network.parameters())


def test_same_classes_in_another_order_give_the_same_scores(model):
    names = tuple(reversed(COCO_NAMES))
    adapted, table = adapt_classes(model, names)
    assert len(table.kept) == 80
    for new, old in zip(rows(adapted), rows(model), strict=True):
        torch.testing.assert_close(new[:, 5:], old[:, 5:].flip(1))


def test_fused_network_is_refused(model):
    fuse_norms(model.network)
    with pytest.raises(InvalidSpec, match="before fuse_norms"):
        adapt_classes(model, ("dog",))
