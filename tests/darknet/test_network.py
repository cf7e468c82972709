"""The network of a cfg, and what it promises to callers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from opencv_oracle import (
    images,
    opencv_boxes,
    our_boxes,
    randomise,
    relative_difference,
    use_opencv_epsilon,
)
from torch.testing import assert_close

from scantling.blocks import fuse_norms
from scantling.darknet import (
    DarknetNetwork,
    build_cfg_network,
    load_cfg_network,
    read_cfg,
    stored_tensors,
)
from scantling.darknet.describe import read_sections
from scantling.darknet.edit import with_classes
from scantling.darknet.graph import find_sources, plan
from scantling.errors import InvalidCfg, InvalidSpec, InvalidValue
from scantling.specs import CfgSpec

Build = Callable[..., DarknetNetwork]
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
YOLO = "[yolo]\nanchors=10,14,23,27,37,58\nmask=0,1,2\nclasses=3\nnum=3\n"


def head(activation: str, options: str = "") -> str:
    layer = f"[convolutional]\nfilters=24\nsize=1\nactivation={activation}\n"
    return f"\n{layer}{YOLO}{options}\n"


def test_a_cfg_says_its_size_classes_and_fit(assets: Path):
    tiny = read_cfg(assets / "cfg" / "yolov4-tiny.cfg")
    assert (tiny.name, tiny.image_size, tiny.num_classes) == ("yolov4-tiny", (416, 416), 80)
    assert tiny.input.resize_mode == "stretch"
    assert read_cfg(assets / "cfg" / "yolov4-csp.cfg").input.resize_mode == "letterbox"


def test_a_spec_survives_json(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov4-tiny.cfg")
    assert CfgSpec.model_validate_json(spec.model_dump_json()) == spec


def test_levels_come_finest_first_though_the_cfg_has_them_coarsest_first(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov4-tiny-3l.cfg").replace(image_size=(64, 96))
    network = build_cfg_network(spec).eval()
    assert network.strides == (8, 16, 32)
    raw = network(torch.rand(2, 3, 64, 96))
    assert [level.shape for level in raw] == [(2, 255, 8, 12), (2, 255, 4, 6), (2, 255, 2, 3)]
    found = network.decode(raw, (64, 96))
    assert found.boxes.shape == (2, 3 * (96 + 24 + 6), 4)
    assert found.scores.shape == (2, 3 * (96 + 24 + 6), 80)


def test_every_weight_of_a_network_learns(build: Build):
    weighted = "[shortcut]\nfrom=-2\nweights_type=per_feature\nweights_normalization=softmax\n"
    network = build(CONV + CONV + weighted + "[dropout]\ndropblock=1\n")
    network.train()(torch.rand(2, 3, 32, 32))[0].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_folded_norms_change_nothing_but_can_no_longer_be_stored(build: Build):
    plain = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npadding=2\nactivation=mish\n"
    network = build(plain)
    randomise(network, images(2, 32))
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = network(x)
        fuse_norms(network)
        assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidValue, match="fused"):
        stored_tensors(network)


def test_logits_leave_the_network_where_darknet_puts_the_logistic_function_into_it(build: Build):
    logistic = build(CONV, head=head("logistic", "new_coords=1\nscale_x_y=2"))
    linear = build(CONV, head=head("linear"))
    linear.load_state_dict(logistic.state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert_close(logistic.eval()(x), linear.eval()(x))
    assert not logistic.levels[0].activated


@pytest.mark.parametrize(
    ("activation", "options"),
    [
        ("linear", "new_coords=1\nscale_x_y=2"),  # no logistic function anywhere
        ("logistic", "new_coords=1\nscale_x_y=2"),  # one, in the convolution
        ("logistic", "scale_x_y=1.1"),  # two: as written, though hardly as meant
    ],
)
def test_decoding_is_that_of_opencv_whatever_the_last_activation(
    build: Build, tmp_path: Path, activation: str, options: str
):
    network = build(CONV, head=head(activation, options))
    batch = images(2, 32)
    randomise(network, batch)
    use_opencv_epsilon(network)
    cfg = (tmp_path / "small.cfg").read_text()
    (theirs,) = opencv_boxes(f"{activation} {options}", cfg, network, batch[:1].numpy(), tmp_path)
    (ours,) = our_boxes(network, batch[:1].numpy())
    assert relative_difference(ours, theirs) < 2e-5


def test_a_logistic_convolution_that_others_read_keeps_its_activation(build: Build):
    tail = head("logistic", "new_coords=1") + "[route]\nlayers=1\n" + head("logistic")
    network = build(CONV, head=tail)
    assert [level.activated for level in network.levels] == [True, False]
    raw = network.eval()(torch.rand(1, 3, 32, 32))
    assert raw[0].min() >= 0
    assert raw[0].max() <= 1


def test_an_alias_between_convolution_and_detection_is_looked_through(build: Build):
    last = "[convolutional]\nfilters=24\nactivation=logistic\n[route]\nlayers=-1\n"
    network = build(CONV, head=f"{last}{YOLO}new_coords=1\n")
    assert not network.levels[0].activated
    raw = network.eval()(torch.rand(1, 3, 32, 32) * 9)
    assert raw[0].min() < 0


@pytest.mark.parametrize("between", ["", "[route]\nlayers=-1\n", "[empty]\n[route]\nlayers=-1\n"])
def test_classes_belong_to_the_convolution_behind_other_names(tmp_path: Path, between: str):
    path = tmp_path / "a.cfg"
    path.write_text(f"[net]\nwidth=32\nheight=32\n{head('linear').replace(YOLO, between + YOLO)}")
    network = build_cfg_network(with_classes(read_cfg(path), 5))
    (rows,) = network.class_rows()
    assert rows.convolution.out_channels == 30
    assert network(torch.rand(1, 3, 32, 32))[0].shape[1] == 30


def test_a_slice_of_a_convolution_is_not_another_name_of_it(tmp_path: Path):
    path = tmp_path / "a.cfg"
    layers = head("linear").replace(YOLO, f"[route]\nlayers=-1\ngroups=2\n{YOLO}")
    path.write_text(f"[net]\nwidth=32\nheight=32\n{layers.replace('=24', '=48')}")
    spec = read_cfg(path)
    with pytest.raises(InvalidSpec, match="does not read a convolution"):
        with_classes(spec, 5)
    with pytest.raises(InvalidSpec, match="does not read a convolution"):
        build_cfg_network(spec).class_rows()


def test_each_output_is_let_go_after_its_last_reader(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov4.cfg")
    _, sections = read_sections(spec.cfg, "a.cfg")
    steps = plan(sections, find_sources(sections))
    alive, most = {-1}, 0
    for step in steps:
        assert alive.issuperset(step.sources)
        alive.add(step.layer)
        most = max(most, len(alive))
        alive.difference_update(step.finished)
    assert alive == {139, 150, 161}  # the three detection layers
    assert most <= 8


def test_layers_that_lead_nowhere_are_stored_but_not_run(build: Build):
    network = build(CONV + CONV + "[route]\nlayers=0\n")
    assert [step.layer for step in network.steps] == [0, 2, 3, 4]
    assert len(stored_tensors(network)) == 5 + 5 + 2


def test_no_weights_are_read_where_none_are_given(assets: Path):
    _, network, header = load_cfg_network(assets / "cfg" / "yolov4-tiny.cfg")
    assert header is None
    assert not network.training


def test_a_spec_that_contradicts_its_cfg_is_refused(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov4-tiny.cfg")
    with pytest.raises(InvalidSpec, match="num_classes is 3, but its cfg says 80"):
        build_cfg_network(spec.replace(num_classes=3))


def test_a_cfg_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InvalidCfg, match=r"none\.cfg:1: there is no such file"):
        read_cfg(tmp_path / "none.cfg")
