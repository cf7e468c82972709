"""prepare_model: a model to train for given classes, from whatever is named."""

from pathlib import Path

import numpy as np
import pytest
import scaled_yolov4_network as reference
import torch

from scantling.checkpoints import (
    Model,
    anchors_of,
    create_model,
    load_model,
    prepare_model,
    save_effdet,
    save_model,
    with_anchors,
    with_image_size,
)
from scantling.darknet import DarknetNetwork, parse_cfg, read_cfg
from scantling.detector import build_detector
from scantling.errors import InvalidSpec, InvalidValue, InvalidWeights
from scantling.specs import CATALOG
from scantling.specs.classes import COCO_ID_NAMES

NAMES = ("rowing boat", "car", "sloop")
CAR = 2  # of COCO's 80


@pytest.fixture
def tiny(assets: Path) -> Path:
    return assets / "weights" / "yolov4-tiny-coco"


@pytest.fixture
def partial(tiny: Path, tmp_path: Path) -> Path:
    """yolov4-tiny.conv.29: the layers in front of the detection layers, as darknet cuts them."""
    backbone = load_model("yolov4-tiny", weights=tiny / "yolov4-tiny.weights").network.backbone
    count = sum(
        tensor.numel()
        for name, tensor in backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )
    # layer 27 is the first behind the backbone, 256 filters of 1×1 on 512 channels
    count += 4 * 256 + 256 * 512
    data = (tiny / "yolov4-tiny.weights").read_bytes()
    path = tmp_path / "yolov4-tiny.conv.29"
    path.write_bytes(data[: 20 + 4 * count])
    return path


def rows_of(model: Model, *, anchors: int = 3) -> list[np.ndarray]:
    """(A, 5 + K, C) of the last convolution of each level, finest first."""
    if isinstance(model.network, DarknetNetwork):
        layers = [model.network.layers[layer - 1] for layer in model.network.detection_layers]
        found = [next(m for m in layer.modules() if hasattr(m, "kernel_size")) for layer in layers]
    else:
        found = list(model.network.head.predict)
    return [
        conv.weight.detach().numpy().reshape(anchors, -1, conv.weight.shape[1]) for conv in found
    ]


@pytest.mark.parametrize("model", ["yolov4-tiny", "yolov4-tiny.cfg"])
def test_without_weights_everything_is_fresh(tiny: Path, model: str, logged: list[str]):
    source = tiny / "yolov4-tiny.upstream.cfg" if model.endswith(".cfg") else model
    torch.manual_seed(0)
    first = prepare_model(source, NAMES)
    second = prepare_model(source, NAMES)
    assert (first.names, first.spec.num_classes) == (NAMES, 3)
    assert first.network.training
    assert logged == [f"{source}: fresh weights"] * 2
    one, other = (next(iter(m.network.parameters())) for m in (first, second))
    assert not torch.equal(one, other)
    assert [raw.shape[1] for raw in first.network(torch.rand(2, 3, 64, 64))] == [24, 24]


@pytest.mark.parametrize("kind", ["name", "cfg"])
def test_published_weights_keep_the_classes_of_the_same_name(
    tiny: Path, kind: str, logged: list[str]
):
    source = "yolov4-tiny" if kind == "name" else tiny / "yolov4-tiny.upstream.cfg"
    model = prepare_model(source, NAMES, weights=tiny / "yolov4-tiny.weights")
    assert any(text.startswith("classes: 1 kept by name, 2 new, 79 dropped") for text in logged)
    assert model.network.training
    whole = load_model(source, weights=tiny / "yolov4-tiny.weights")
    for now, before in zip(rows_of(model), rows_of(whole), strict=True):
        assert np.array_equal(now[:, :5], before[:, :5])
        assert np.array_equal(now[:, 5 + 1], before[:, 5 + CAR])
        for label in (0, 2):
            assert not any(np.array_equal(now[0, 5 + label], row) for row in before[0])
    first, same = (next(iter(m.network.parameters())) for m in (model, whole))
    assert torch.equal(first, same)


@pytest.mark.parametrize("kind", ["name", "cfg"])
def test_a_partial_backbone_fills_the_first_layers_alone(
    tiny: Path, partial: Path, kind: str, logged: list[str]
):
    source = "yolov4-tiny" if kind == "name" else tiny / "yolov4-tiny.upstream.cfg"
    model = prepare_model(source, NAMES, weights=partial)
    assert logged == [f"{partial} holds only the first layers; the others have fresh weights"]
    assert (model.names, model.network.training) == (NAMES, True)
    whole = load_model(source, weights=tiny / "yolov4-tiny.weights").network.state_dict()
    same = {
        name
        for name, tensor in model.network.state_dict().items()
        if name.endswith("conv.weight") and torch.equal(tensor, whole[name])
    }
    assert len(same) == 16  # 15 of the backbone, and one behind it
    if kind == "name":
        assert {name for name in same if not name.startswith("backbone.")} == {
            "neck.reduce.0.conv.weight"
        }
    else:
        assert {int(name.split(".")[1]) for name in same} <= set(range(29))


def test_a_partial_file_that_ends_within_a_layer_is_refused(partial: Path):
    partial.write_bytes(partial.read_bytes()[:-400])
    with pytest.raises(InvalidWeights, match=r"conv\.29"):
        prepare_model("yolov4-tiny", NAMES, weights=partial)


def test_a_native_file_brings_weights_and_names(tmp_path: Path):
    before = create_model("yolov4-tiny", names=("car", "ketch"))
    save_model(before, tmp_path / "mine.safetensors")
    model = prepare_model(tmp_path / "mine.safetensors", NAMES)
    for now, old in zip(rows_of(model), rows_of(before), strict=True):
        assert np.array_equal(now[:, 5 + 1], old[:, 5 + 0])
    again = prepare_model(tmp_path / "mine.safetensors", before.names)
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, before.network.state_dict()[name])
    assert again.network.training
    with pytest.raises(InvalidValue, match="brings its own"):
        prepare_model(tmp_path / "mine.safetensors", NAMES, weights=tmp_path / "other.safetensors")


def test_classes_without_names_are_called_as_given(tmp_path: Path):
    trained = create_model("yolov4-tiny", num_classes=3)
    save_model(trained, tmp_path / "nameless.safetensors")
    model = prepare_model(tmp_path / "nameless.safetensors", NAMES)
    assert trained.names == ("class0", "class1", "class2")
    assert model.names == NAMES
    for ours, theirs in zip(rows_of(model), rows_of(trained), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("alone", [True, False])
def test_an_effdet_file_brings_its_weights(tmp_path: Path, alone: bool):
    spec = CATALOG["efficientdet-d0"]
    torch.manual_seed(0)
    before = Model(spec, build_detector(spec), COCO_ID_NAMES)
    path = tmp_path / "efficientdet_d0.pth"
    save_effdet(before, path)
    model = prepare_model(path, NAMES) if alone else prepare_model(spec.name, NAMES, weights=path)
    weight = model.network.head.classes.predict.pointwise.weight.view(9, 3, -1)
    whole = before.network.head.classes.predict.pointwise.weight.view(9, 90, -1)
    assert torch.equal(weight[:, 1], whole[:, COCO_ID_NAMES.index("car")])
    one, other = (next(iter(m.network.parameters())) for m in (model, before))
    assert torch.equal(one, other)


def test_a_scaled_yolov4_file_brings_its_weights(tmp_path: Path):
    network = reference.build(reference.CSP, classes=3, names=["buoy", "car", "pier"])
    path = tmp_path / "yolov4-csp.pt"
    reference.save_whole(network, path)
    model = prepare_model(path, NAMES)
    assert (model.names, model.spec.name) == (NAMES, "yolov4-csp-pt")
    last = network.model[-1].m[0].weight.detach().numpy().reshape(3, 8, -1)
    assert np.array_equal(rows_of(model)[0][:, 5 + 1], last[:, 5 + 1])
    for label in (0, 2):
        assert not np.array_equal(rows_of(model)[0][:, 5 + label], last[:, 5 + label])


@pytest.mark.parametrize("names", [("car", "car"), ("car", " ")])
def test_a_list_of_classes_that_is_none_is_refused(tiny: Path, names: tuple[str, ...]):
    for weights in (None, tiny / "yolov4-tiny.weights"):
        with pytest.raises(InvalidValue, match="list of classes"):
            prepare_model(tiny / "yolov4-tiny.upstream.cfg", names, weights=weights)


@pytest.mark.parametrize("kind", ["name", "cfg"])
def test_other_anchors_take_the_places_of_the_old_by_size(tiny: Path, kind: str):
    """Of yolov4-tiny, both levels have (81, 82), and the cfg lists one that no level has."""
    source = "yolov4-tiny" if kind == "name" else tiny / "yolov4-tiny.upstream.cfg"
    model = prepare_model(source, NAMES)
    groups = anchors_of(model)
    assert groups[0][2] == groups[1][0] == (81, 82)
    new = [(30.5, 40), (5, 6.5), (100, 120.5), (9, 12), (200, 210)]
    changed = with_anchors(model, new)
    assert anchors_of(changed) == (
        ((5, 6.5), (9, 12), (30.5, 40)),
        ((30.5, 40), (100, 120.5), (200, 210)),
    )
    assert anchors_of(model) == groups
    for name, tensor in changed.network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[name]), name
    assert changed.network.training
    if kind == "cfg":
        sections = [s for s in parse_cfg(changed.spec.cfg, "x") if s.kind == "yolo"]
        listed = [section.numbers("anchors") for section in sections]
        assert listed == [(10, 14, 5, 6.5, 9, 12, 30.5, 40, 100, 120.5, 200, 210)] * 2
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        raw = changed.network.eval()(images)
        boxes = changed.network.decode(raw, (64, 64)).boxes
        old = model.network.decode(raw, (64, 64)).boxes
    sizes, before = boxes[..., 2:] - boxes[..., :2], old[..., 2:] - old[..., :2]
    torch.testing.assert_close(
        (sizes / before)[0, 0], torch.tensor([5 / 23, 6.5 / 27]), rtol=1e-3, atol=1e-3
    )


def test_a_model_with_other_anchors_is_saved_with_them(tiny: Path, tmp_path: Path):
    model = prepare_model(tiny / "yolov4-tiny.upstream.cfg", NAMES)
    changed = with_anchors(model, [(5, 6.5), (9, 12), (30, 40), (100, 120), (200, 210)])
    save_model(changed, tmp_path / "mine.safetensors")
    assert anchors_of(load_model(tmp_path / "mine.safetensors")) == anchors_of(changed)


@pytest.mark.parametrize("kind", ["name", "cfg"])
def test_another_image_size_is_all_that_changes(tiny: Path, tmp_path: Path, kind: str):
    model = prepare_model(
        "yolov4-tiny" if kind == "name" else tiny / "yolov4-tiny.upstream.cfg", NAMES
    )
    changed = with_image_size(model, (96, 160))
    assert changed.spec.image_size == (96, 160)
    assert model.spec.image_size == (416, 416)
    assert anchors_of(changed) == anchors_of(model)
    for name, tensor in changed.network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[name]), name
    if kind == "cfg":  # darknet itself reads the size from the text
        (tmp_path / "mine.cfg").write_text(changed.spec.cfg)
        assert read_cfg(tmp_path / "mine.cfg").image_size == (96, 160)
    save_model(changed, str(tmp_path / "mine.safetensors"))
    assert load_model(tmp_path / "mine.safetensors").spec == changed.spec


def test_an_image_size_that_is_no_multiple_of_the_stride_is_refused():
    with pytest.raises(
        InvalidSpec, match=r"image width 100 is not a multiple of 32.*Use 96 or 128"
    ):
        with_image_size(prepare_model("yolov4-tiny", NAMES), (96, 100))


def test_another_number_of_anchors_is_refused():
    with pytest.raises(InvalidSpec, match="6 anchors for 5"):
        with_anchors(prepare_model("yolov4-tiny", NAMES), [(side, side) for side in range(1, 7)])
