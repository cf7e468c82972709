"""create_model: a model to train, fresh or from weights, for any classes and with any changes."""

from pathlib import Path

import pytest
import torch

import scantling
from scantling import CATALOG, create_model
from scantling.checkpoints import Model, load_model, save_effdet, save_model
from scantling.detector import build_detector
from scantling.errors import DownloadFailed, InvalidSpec, InvalidValue, UnknownName
from scantling.specs.classes import COCO_ID_NAMES, COCO_NAMES

D0 = "efficientdet-d0"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EfficientDet-D0 of effdet's format with weights that nobody published."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("effdet") / "mine.pth"
    save_effdet(Model(CATALOG[D0], build_detector(CATALOG[D0]), COCO_ID_NAMES), path)
    return path


def class_rows(model: Model) -> torch.Tensor:
    """(A, K, C): the last weights of the class net."""
    weight = model.network.state_dict()["head.classes.predict.pointwise.weight"]
    return weight.view(9, model.spec.num_classes, -1)


def test_a_fresh_model_is_that_of_the_catalogue_ready_to_train():
    model = create_model(D0)
    assert model.spec == CATALOG[D0]
    assert model.names == COCO_ID_NAMES
    assert model.network.training
    assert all(parameter.requires_grad for parameter in model.network.parameters())


def test_classes_size_and_changes_are_those_asked_for():
    model = create_model(D0, num_classes=3, image_size=(96, 160), neck__fusion="softmax")
    assert model.names == ("class0", "class1", "class2")
    assert model.spec.image_size == (96, 160)
    assert model.spec.neck.fusion == "softmax"
    raw = model.network(torch.zeros(2, 3, 96, 160))
    assert raw[0].shape == (2, 9 * 3, 12, 20)


def test_names_come_from_a_list_or_a_file(tmp_path: Path):
    (tmp_path / "boats.names").write_text("sloop\nketch\n")
    for names in (["sloop", "ketch"], tmp_path / "boats.names", str(tmp_path / "boats.names")):
        model = create_model("yolov4-tiny", names=names)
        assert (model.names, model.spec.num_classes) == (("sloop", "ketch"), 2)


def test_a_spec_of_ones_own_is_taken_as_it_is():
    spec = CATALOG[D0].replace(name="mine", num_classes=2)
    assert create_model(spec).spec == spec


def test_a_checkpoint_gives_its_weights(checkpoint: Path):
    expected = load_model(D0, weights=checkpoint).network.state_dict()
    found = create_model(D0, checkpoint=checkpoint, image_size=128)
    assert found.spec.image_size == (128, 128)
    assert found.network.training
    state = found.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())


def test_classes_of_a_checkpoint_are_kept_by_name(checkpoint: Path, logged: list[str]):
    before = class_rows(load_model(D0, weights=checkpoint))
    model = create_model(D0, checkpoint=checkpoint, names=("anchor", "dog", "boat"))
    rows = class_rows(model)
    assert model.names == ("anchor", "dog", "boat")
    for label, name in ((1, "dog"), (2, "boat")):
        assert torch.equal(rows[:, label], before[:, COCO_ID_NAMES.index(name)])
    assert not torch.equal(rows[:, 0], before[:, 0])
    assert any("2 kept by name, 1 new, 78 dropped" in line for line in logged)


def test_weights_without_names_get_those_given(tmp_path: Path):
    first = create_model(D0, names=("cat", "dog"))
    save_effdet(first, tmp_path / "pets.pth")  # which holds no names
    again = create_model(D0, checkpoint=tmp_path / "pets.pth", names=("dog", "cat"))
    assert again.names == ("dog", "cat")
    assert torch.equal(class_rows(again), class_rows(first))


def test_the_eighty_classes_of_coco_are_found_among_the_ninety_ids(checkpoint: Path):
    before = class_rows(load_model(D0, weights=checkpoint))
    model = create_model(D0, checkpoint=checkpoint, num_classes=80)
    assert model.names == COCO_NAMES
    places = [COCO_ID_NAMES.index(name) for name in COCO_NAMES]
    assert torch.equal(class_rows(model), before[:, places])


def test_a_checkpoint_of_ones_own_spec_is_loaded(tmp_path: Path):
    spec = CATALOG["yolov4-tiny"].replace(name="mine", num_classes=2)
    first = create_model(spec, names=("a", "b"))
    save_model(first, tmp_path / "mine.safetensors")
    again = create_model(spec, checkpoint=tmp_path / "mine.safetensors")
    assert (again.spec, again.names) == (spec, ("a", "b"))
    expected = first.network.state_dict()
    state = again.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())


def test_changes_that_the_weights_do_not_fit_are_refused(checkpoint: Path):
    with pytest.raises(InvalidValue, match=r"neck__fusion.*expected what leaves the weights"):
        create_model(D0, checkpoint=checkpoint, neck__fusion="sum")
    model = create_model(D0, checkpoint=checkpoint, input__mean=(0.5, 0.5, 0.5))
    assert model.spec.input.mean == (0.5, 0.5, 0.5)


def test_official_weights_are_looked_for_where_they_can_be(tmp_path: Path):
    with pytest.raises(DownloadFailed, match="nobody offers any"):
        create_model("efficientdet-d3-pt", pretrained=True, cache=tmp_path)


def test_real_weights_are_adapted_by_name(assets: Path):
    weights = assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.weights"
    model = create_model("yolov4-tiny", checkpoint=weights, names=("dog", "sled"))
    before = load_model("yolov4-tiny", weights=weights)
    row = before.network.state_dict()["head.predict.0.bias"].view(3, 85)
    new = model.network.state_dict()["head.predict.0.bias"].view(3, 7)
    assert torch.equal(new[:, :5], row[:, :5])
    assert torch.equal(new[:, 5], row[:, 5 + before.names.index("dog")])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": 2, "names": ["a"]}, "num_classes is 2; expected 1"),
        ({"names": []}, "one name or more"),
        ({"pretrained": True, "checkpoint": "x.pth"}, "give one"),
        ({"pretrained": True, "pretrained_backbone": True}, "hold a backbone too"),
        ({"pretrained_backbone": True}, "only a backbone of kind timm"),
        ({"neck__depth": 0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict, message: str):
    with pytest.raises(InvalidValue, match=message):
        create_model(D0, **settings)


def test_names_that_do_not_exist_suggest_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'efficientdet-d0'"):
        create_model("tf_efficientdet_d0")
    with pytest.raises(UnknownName, match="Did you mean 'image_size'"):
        create_model(D0, imagesize=64)


def test_a_size_that_the_strides_do_not_divide_is_refused():
    with pytest.raises(InvalidSpec, match="Use 576 or 608"):
        create_model("yolov4", image_size=600)


def test_it_is_part_of_the_public_face():
    assert scantling.create_model is create_model
    assert "create_model" in scantling.__all__
