"""Conversion between darknet's files and native checkpoints, there and back."""

import shutil

import pytest
import scaled_yolov4_network as reference
import torch

from scantling.checkpoints import Model, convert_model, load_model, save_darknet
from scantling.darknet import build_cfg_network
from scantling.errors import InvalidSpec, InvalidValue
from scantling.specs import CfgSpec, ModelSpec


@pytest.fixture
def folder(assets, tmp_path):
    tiny = assets / "weights" / "yolov4-tiny-coco"
    shutil.copy(tiny / "yolov4-tiny.upstream.cfg", tmp_path / "mine.cfg")
    shutil.copy(tiny / "yolov4-tiny.weights", tmp_path / "mine.weights")
    shutil.copy(tiny / "coco.names", tmp_path / "mine.names")
    return tmp_path


def test_cfg_goes_to_native_and_back_without_change(folder):
    assert convert_model(folder / "mine.cfg", folder / "a.safetensors") == (
        folder / "a.safetensors",
    )
    assert isinstance(load_model(folder / "a.safetensors").spec, CfgSpec)
    written = convert_model(folder / "a.safetensors", folder / "b.weights")
    assert written == (folder / "b.cfg", folder / "b.weights", folder / "b.names")
    for suffix in ("cfg", "names", "weights"):
        assert (folder / f"b.{suffix}").read_bytes() == (folder / f"mine.{suffix}").read_bytes()


@pytest.mark.parametrize("source", ["mine.cfg", "mine.weights"])
def test_named_model_goes_to_native_and_back_without_change(folder, source):
    convert_model(
        folder / source, folder / "a.safetensors", model="yolov4-tiny", names=folder / "mine.names"
    )
    assert isinstance(load_model(folder / "a.safetensors").spec, ModelSpec)
    convert_model(folder / "a.safetensors", folder / "b.cfg")
    assert (folder / "b.weights").read_bytes() == (folder / "mine.weights").read_bytes()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = load_model(folder / "mine.cfg").network(images)
        given = load_model(folder / "b.cfg").network(images)
    assert all(torch.equal(one, other) for one, other in zip(given, expected, strict=True))


def test_files_that_exist_are_kept_unless_told_otherwise(folder):
    before = (folder / "mine.weights").read_bytes()
    with pytest.raises(InvalidValue, match=r"mine\.cfg.*files that do not exist yet"):
        convert_model(folder / "mine.cfg", folder / "mine.weights")
    assert (folder / "mine.weights").read_bytes() == before
    convert_model(folder / "mine.cfg", folder / "a.safetensors")
    convert_model(folder / "a.safetensors", folder / "mine.weights", overwrite=True)
    assert (folder / "mine.weights").read_bytes() == before


def test_weights_that_the_cfg_would_skip_are_loaded_again(folder):
    """`dontload` takes no bytes of a .weights file; what we write holds every layer."""
    text = (folder / "mine.cfg").read_text()
    text = text.replace("[convolutional]\n", "[convolutional]\ndontload=0\n", 1)
    (folder / "mine.cfg").write_text(text)
    convert_model(folder / "mine.cfg", folder / "a.safetensors")
    model = load_model(folder / "a.safetensors")
    skipping = model.spec.cfg.replace("dontload=0", "dontload=1")
    spec = model.spec.replace(cfg=skipping)
    network = build_cfg_network(spec).eval()
    network.load_state_dict(model.network.state_dict())
    save_darknet(Model(spec, network, model.names), folder / "c.weights")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, given = network(images), load_model(folder / "c.cfg").network(images)
    assert all(torch.equal(one, other) for one, other in zip(given, expected, strict=True))


@pytest.mark.parametrize("target", ["a.onnx", "a.pt", "a"])
def test_unknown_target_is_refused(folder, target):
    with pytest.raises(InvalidValue, match=r"\.safetensors, \.weights or \.cfg"):
        convert_model(folder / "mine.cfg", folder / target)


def test_graph_without_a_cfg_is_refused(folder):
    network = reference.build(reference.CSP, classes=2)
    reference.save_whole(network.half(), folder / "csp.pt")
    with pytest.raises(InvalidSpec, match="darknet has no cfg"):
        convert_model(folder / "csp.pt", folder / "csp.cfg")
    assert not (folder / "csp.names").exists()
    assert not (folder / "csp.cfg").exists()
