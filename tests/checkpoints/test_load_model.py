"""From names and files to models, with the weights and cfg that darknet's authors published."""

import shutil

import pytest
import torch

from scantling.checkpoints import Model, load_model, save_model
from scantling.darknet import WeightsHeader, write_weights
from scantling.darknet.native import native_cfg, native_tensors
from scantling.detector import build_detector
from scantling.errors import (
    DownloadFailed,
    InvalidCheckpoint,
    InvalidValue,
    InvalidWeights,
    UnknownName,
)
from scantling.specs import CATALOG
from scantling.specs.classes import ALIASES, COCO_NAMES, DARKNET_COCO_NAMES

IMAGES = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny(assets):
    return assets / "weights" / "yolov4-tiny-coco"


@pytest.fixture
def folder(tiny, tmp_path):
    """The published files under one stem, as people keep them."""
    shutil.copy(tiny / "yolov4-tiny.upstream.cfg", tmp_path / "mine.cfg")
    shutil.copy(tiny / "yolov4-tiny.weights", tmp_path / "mine.weights")
    shutil.copy(tiny / "coco.names", tmp_path / "mine.names")
    return tmp_path


@torch.no_grad()
def outputs(model):
    return model.network(IMAGES)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(outputs(one), outputs(other), strict=True))


def custom_weights(path, classes):
    spec = CATALOG["yolov4-tiny"].replace(num_classes=classes)
    detector = build_detector(spec).eval()
    write_weights(path, native_tensors(detector, spec), WeightsHeader())
    return Model(spec, detector, ())


def test_name_cfg_and_native_file_are_the_same_network(tiny, tmp_path):
    weights = tiny / "yolov4-tiny.weights"
    named = load_model("yolov4-tiny", weights=weights)
    from_cfg = load_model(tiny / "yolov4-tiny.upstream.cfg", weights=weights)
    save_model(named, tmp_path / "tiny.safetensors")
    native = load_model(tmp_path / "tiny.safetensors")
    assert same(named, from_cfg)
    assert same(named, native)
    assert named.names == from_cfg.names == native.names == DARKNET_COCO_NAMES


@pytest.mark.usefixtures("real_assets")
def test_name_uses_the_official_weights_of_the_cache(tiny, tmp_path):
    shutil.copy(tiny / "yolov4-tiny.weights", tmp_path)
    model = load_model("yolov4-tiny", cache=tmp_path)
    assert same(model, load_model("yolov4-tiny", weights=tiny / "yolov4-tiny.weights"))


def test_cfg_finds_and_says_what_lies_beside_it(folder, logged: list[str]):
    model = load_model(folder / "mine.cfg")
    assert model.names[3] == "motorbike"
    assert any("mine.weights" in line for line in logged)
    assert any("mine.names" in line for line in logged)


def test_cfg_without_weights_asks_for_them(folder):
    (folder / "mine.weights").unlink()
    with pytest.raises(InvalidValue, match="--weights FILE"):
        load_model(folder / "mine.cfg")


def test_number_of_classes_comes_from_the_size_of_the_weights(tmp_path, logged: list[str]):
    path = tmp_path / "mine.weights"
    expected = custom_weights(path, 7)
    model = load_model("yolov4-tiny", weights=path)
    assert model.spec.num_classes == 7
    assert model.names == tuple(f"class{label}" for label in range(7))
    assert "7 classes" in logged[0]
    assert same(model, expected)


def test_weights_that_fit_no_number_of_classes_are_refused(tmp_path, tiny):
    with pytest.raises(InvalidWeights, match="fits yolov4 with no number of classes"):
        load_model("yolov4", weights=tiny / "yolov4-tiny.weights")


@pytest.mark.parametrize("suffix", [".names", ".txt", ".data"])
def test_names_come_from_the_file_that_is_given(tmp_path, suffix):
    weights = tmp_path / "mine.weights"
    custom_weights(weights, 2)
    path = tmp_path / f"mine{suffix}"
    path.write_text("cell\nplatelet\n")
    if suffix == ".data":
        (tmp_path / "list.names").write_text("cell\nplatelet\n")
        path.write_text("classes = 2\nnames = list.names\n")
    model = load_model("yolov4-tiny", weights=weights, names=path)
    assert model.names == ("cell", "platelet")
    save_model(model, tmp_path / "mine.safetensors")
    (tmp_path / "other.names").write_text("a\nb\n")
    renamed = load_model(tmp_path / "mine.safetensors", names=tmp_path / "other.names")
    assert renamed.names == ("a", "b")


def test_wrong_number_of_names_is_refused(tiny, tmp_path):
    (tmp_path / "three.names").write_text("a\nb\nc\n")
    with pytest.raises(InvalidValue, match="is 3; expected 80"):
        load_model(
            "yolov4-tiny", weights=tiny / "yolov4-tiny.weights", names=tmp_path / "three.names"
        )


def test_our_own_state_dict_is_taken_for_a_name(tiny, tmp_path):
    model = load_model("yolov4-tiny", weights=tiny / "yolov4-tiny.weights")
    torch.save(model.network.state_dict(), tmp_path / "state.pt")
    assert same(load_model("yolov4-tiny", weights=tmp_path / "state.pt"), model)
    with pytest.raises(InvalidCheckpoint, match="does not say which model it is"):
        load_model(tmp_path / "state.pt")
    with pytest.raises(InvalidCheckpoint, match="of its tensors are missing, unexpected"):
        load_model("yolov4-tiny-3l", weights=tmp_path / "state.pt")


def test_native_file_serves_as_weights_of_its_own_name_only(tmp_path):
    custom_weights(tmp_path / "mine.weights", 2)
    model = load_model("yolov4-tiny", weights=tmp_path / "mine.weights")
    save_model(model, tmp_path / "mine.safetensors")
    assert same(load_model("yolov4-tiny", weights=tmp_path / "mine.safetensors"), model)
    with pytest.raises(InvalidCheckpoint, match="it holds yolov4-tiny, not yolov4-tiny-3l"):
        load_model("yolov4-tiny-3l", weights=tmp_path / "mine.safetensors")


def test_first_layers_alone_are_a_start(tiny, tmp_path, logged: list[str]):
    """yolov4-tiny.conv.29: the layers before the detection layers, as darknet cuts them."""
    spec = CATALOG["yolov4-tiny"]
    whole = load_model("yolov4-tiny", weights=tiny / "yolov4-tiny.weights")
    tensors = native_tensors(whole.network, spec)[: 17 * 5]  # 17 convolutions with their norms
    path = tmp_path / "yolov4-tiny.conv.29"
    write_weights(path, tensors, WeightsHeader())
    part = load_model("yolov4-tiny", weights=path)
    assert "fresh" in logged[-1]
    with torch.no_grad():
        features = part.network.backbone(IMAGES), whole.network.backbone(IMAGES)
    assert all(torch.equal(a, b) for a, b in zip(*features, strict=True))


def test_cfg_text_of_a_name_gives_the_same_network(tmp_path):
    custom_weights(tmp_path / "mine.weights", 3)
    model = load_model("yolov4-tiny", weights=tmp_path / "mine.weights")
    (tmp_path / "mine.cfg").write_text(native_cfg(model.spec))
    assert same(load_model(tmp_path / "mine.cfg"), model)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_file_with_weights_of_its_own_takes_no_others(tmp_path, suffix):
    with pytest.raises(InvalidValue, match="brings its own"):
        load_model(tmp_path / f"model{suffix}", weights=tmp_path / "x.weights")


def test_weights_alone_ask_what_they_are_for(tmp_path):
    with pytest.raises(InvalidValue, match=r"--model NAME\|FILE.cfg --weights x.weights"):
        load_model(tmp_path / "x.weights")


def test_weights_of_another_kind_are_refused(tiny):
    with pytest.raises(InvalidValue, match=r"\.safetensors, \.pt"):
        load_model("yolov4-tiny", weights=tiny / "coco.names")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'yolov4-tiny'"):
        load_model("yolov4-tyni")


def test_name_without_official_weights_says_what_to_do(tmp_path):
    with pytest.raises(DownloadFailed, match="--model yolov4-tiny-3l --weights FILE"):
        load_model("yolov4-tiny-3l", cache=tmp_path)


def test_coco_names_are_those_of_darknet_in_both_spellings(tiny):
    published = tuple((tiny / "coco.names").read_text().split("\n")[:-1])
    assert published == DARKNET_COCO_NAMES
    assert tuple(ALIASES.get(name, name) for name in published) == COCO_NAMES
    assert len(set(COCO_NAMES)) == 80
