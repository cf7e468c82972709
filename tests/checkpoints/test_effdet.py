"""effdet's `.pth` files, read onto our networks and written back."""

import argparse
import re
from collections import OrderedDict

import pytest
import torch
from torch_containers import Writer, zip_container

import effdet_oracle as oracle
from scantling.blocks import fuse_norms
from scantling.checkpoints import (
    Model,
    adapt_classes,
    convert_model,
    effdet_state_dict,
    load_model,
    save_effdet,
    save_model,
)
from scantling.checkpoints.hub import OFFICIAL
from scantling.checkpoints.model import build_network
from scantling.errors import CannotWrite, InvalidCheckpoint, InvalidSpec, UnsafeCheckpoint
from scantling.specs import CATALOG
from scantling.specs.classes import COCO_CATEGORY_IDS, COCO_ID_NAMES, COCO_NAMES, UNUSED_NAMES

# With 64 rows the coarsest two levels would have one each, which effdet pools otherwise.
SIZE = (72, 128)


@pytest.fixture(scope="module")
def lite0():
    return oracle.build("efficientdet-lite0", image_size=SIZE)


@pytest.fixture(scope="module")
def state(lite0):
    return lite0.state_dict()


def saved(value, folder, name="given.pth"):
    torch.save(value, folder / name)
    return folder / name


@torch.inference_mode()
def assert_same_outputs(model, theirs):
    batch = oracle.images(1, SIZE)
    classes, boxes = theirs(batch)
    for raw, level in zip(model.network(batch), [*classes, *boxes], strict=True):
        torch.testing.assert_close(raw, level, atol=1e-4, rtol=0)


def assert_equal_states(given, expected):
    assert list(given) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(given[name], tensor), name
        assert given[name].dtype == tensor.dtype


# d0-pt: no redundant biases; d0: squeeze-and-excitation, weighted fusion; lite0: neither
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=()
            if name in {"efficientdet-d0", "efficientdet-d0-pt", "efficientdet-lite0"}
            else pytest.mark.slow,
        )
        for name in oracle.NAMES
    ],
)
def test_file_goes_to_native_and_back_without_change(name, tmp_path):
    expected = oracle.build(name, image_size=SIZE, classes=3).state_dict()
    assert type(expected) is OrderedDict
    convert_model(saved(expected, tmp_path), tmp_path / "native.safetensors", model=name)
    convert_model(tmp_path / "native.safetensors", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert type(back) is OrderedDict
    assert_equal_states(back, expected)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pth", ".pth", ".safetensors"]


def test_effdet_loads_what_we_write(lite0, tmp_path):
    spec = CATALOG["efficientdet-lite0"]
    model = Model(spec, build_network(spec).eval(), COCO_ID_NAMES)
    save_effdet(model, tmp_path / "ours.pth")
    theirs = oracle.build("efficientdet-lite0", image_size=SIZE)
    theirs.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True), strict=True)
    assert_same_outputs(model, theirs)


def without_counters(state):
    return {name: value for name, value in state.items() if not name.endswith("batches_tracked")}


def level_first(state):
    """As effdet names the norms where `head_bn_level_first` is set."""
    name = re.compile(r"(.*_net\.bn_rep)\.(\d+)\.(\d+)\.bn\.(.*)")
    return {name.sub(r"\1.\3.\2.\4", key): value for key, value in state.items()}


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "state_dict_ema": lambda state: {
        "state_dict": {name: value * 0 for name, value in state.items()},
        "state_dict_ema": state,
    },
    "model": lambda state: {"model": state},
    "parallel": lambda state: prefixed(state, "module."),
    "bench": lambda state: prefixed(state, "model.") | {"anchors.boxes": torch.zeros(9, 4)},
    "parallel bench": lambda state: (
        prefixed(state, "module.model.") | {"module.anchors.boxes": torch.zeros(9, 4)}
    ),
    "no counters": without_counters,
    "level first": level_first,
    "double": lambda state: {
        name: value.double() if value.is_floating_point() else value
        for name, value in state.items()
    },
    "timm's script": lambda state: {
        "epoch": 3,
        "arch": "tf_efficientdet_lite0",
        "state_dict": state,
        "optimizer": {"state": {0: {"step": 1, "exp_avg": torch.zeros(3)}}, "param_groups": []},
        "version": 2,
        "args": argparse.Namespace(lr=0.1, model="tf_efficientdet_lite0"),
        "metric": 0.5,
    },
}


@pytest.mark.parametrize("how", WRAPPED)
def test_state_dict_is_found_however_it_was_saved(how, lite0, state, tmp_path):
    model = load_model(saved(WRAPPED[how](state), tmp_path))
    assert model.spec.name == "efficientdet-lite0"
    assert_same_outputs(model, lite0)


@pytest.mark.parametrize("bench", ["DetBenchPredict", "DetBenchTrain"])
def test_state_dict_of_effdets_own_bench_is_read(bench, lite0, tmp_path):
    import effdet

    wrapped = getattr(effdet, bench)(lite0)
    assert_same_outputs(load_model(saved(wrapped.state_dict(), tmp_path)), lite0)


def test_level_first_is_what_effdet_makes_of_it(tmp_path):
    network = oracle.build("efficientdet-lite0", image_size=SIZE)
    expected = list(level_first(network.state_dict()))
    network.toggle_head_bn_level_first()
    names = [re.sub(r"(bn_rep\.\d+\.\d+)\.bn\.", r"\1.", name) for name in network.state_dict()]
    assert set(names) == set(expected)
    assert_same_outputs(load_model(saved(network.state_dict(), tmp_path)), network)


@pytest.mark.parametrize(
    "name", ["efficientdet-d0", "efficientdet-d1-pt", "efficientdet-d2", "efficientdet-lite3x"]
)
def test_variant_and_classes_are_found_from_the_file_alone(name, tmp_path, logged: list[str]):
    path = saved(oracle.build(name, image_size=SIZE, classes=7).state_dict(), tmp_path)
    model = load_model(path)
    assert model.spec == CATALOG[name].replace(num_classes=7)
    assert model.names == tuple(f"class{label}" for label in range(7))
    assert f"{path} is {name} with 7 classes" in logged
    if name == "efficientdet-d0":
        assert any("efficientdet-d0-ap" in text for text in logged)
        assert load_model(f"{name}-ap", weights=path).spec.input.mean == (0.5, 0.5, 0.5)
        official = path.rename(tmp_path / OFFICIAL[f"{name}-ap"].file_name)
        assert load_model(official).spec.name == f"{name}-ap"


def test_sizes_with_the_same_tensors_need_a_name(tmp_path):
    from effdet import create_model

    with torch.device("meta"):
        meta = create_model("tf_efficientdet_d7", pretrained_backbone=False, num_classes=1)
    sizes = [value.numel() for value in meta.state_dict().values()]
    shared = torch.zeros(max(max(sizes), sum(sizes) // 4))  # read no more often than is allowed
    zeros = {
        name: shared[: value.numel()].view(value.shape)
        for name, value in without_counters(meta.state_dict()).items()
    }
    path = saved(zeros, tmp_path)
    with pytest.raises(InvalidCheckpoint, match=r"d6, efficientdet-d7.*--model NAME"):
        load_model(path)
    assert load_model("efficientdet-d7", weights=path).spec.image_size == (1536, 1536)


def test_pytorch_layout_is_taken_under_the_plain_name(tmp_path, logged: list[str]):
    path = saved(oracle.build("efficientdet-d0-pt", image_size=SIZE).state_dict(), tmp_path)
    assert load_model("efficientdet-d0", weights=path).spec.name.endswith("-pt")
    assert any("PyTorch's padding" in text for text in logged)


def changed(state, name, value):
    return {**state, name: value}


PREDICT = "class_net.predict.conv_pw.weight"
STEM = "backbone.conv_stem.weight"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: {n: v for n, v in state.items() if n != STEM}, rf"1 of.*{STEM} \(missing\)"),
        (lambda state: changed(state, "extra", torch.zeros(1)), r"1 of.*extra \(unknown\)"),
        (
            lambda state: changed(state, STEM, torch.zeros(32, 4, 3, 3)),
            r"\(32, 4, 3, 3\), not \(32, 3, 3, 3\)",
        ),
        (lambda state: changed(state, STEM, torch.zeros(32, 3, 3, 3, dtype=torch.int64)), "int64"),
        (lambda state: changed(state, PREDICT, torch.zeros(10, 64, 1, 1)), "9 rows"),
        (lambda state: changed(state, PREDICT, torch.zeros(())), "9 rows"),
    ],
)
def test_tensors_that_differ_are_named(change, expected, state, tmp_path):
    path = saved(change(state), tmp_path)
    with pytest.raises(InvalidCheckpoint, match=expected):
        load_model("efficientdet-lite0", weights=path)
    with pytest.raises(InvalidCheckpoint, match=r"of no EfficientDet in the catalogue|9 rows"):
        load_model(path)


def test_another_variant_is_refused_by_its_name(state, tmp_path):
    path = saved(state, tmp_path)
    with pytest.raises(InvalidCheckpoint, match=r"it holds efficientdet-lite0: .*efficientdet-d1"):
        load_model("efficientdet-d1", weights=path)
    with pytest.raises(InvalidSpec, match="effdet's files hold EfficientDets only"):
        load_model("yolov4-tiny", weights=path)


def test_other_families_and_fused_networks_are_not_written(state, tmp_path):
    spec = CATALOG["yolov4-tiny"]
    with pytest.raises(InvalidSpec, match="EfficientDets only"):
        save_effdet(Model(spec, build_network(spec), COCO_NAMES), tmp_path / "a.pth")
    spec = CATALOG["efficientdet-lite0"]
    spec = spec.replace(neck=spec.neck.replace(kind="panet"))
    with pytest.raises(InvalidSpec, match="EfficientDets only"):
        effdet_state_dict(Model(spec, build_network(spec), COCO_ID_NAMES))
    model = load_model(saved(state, tmp_path))
    fuse_norms(model.network)
    with pytest.raises(InvalidSpec, match="before fuse_norms"):
        save_effdet(model, tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()


def test_folder_that_is_not_there_is_an_error_of_ours(state, tmp_path):
    model = load_model(saved(state, tmp_path))
    with pytest.raises(CannotWrite, match="cannot be written"):
        save_effdet(model, tmp_path / "no" / "a.pth")


def test_code_in_a_file_is_refused_without_side_effects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = Writer().raw(b"}").text(PREDICT).tensor().raw(b"s")
    pickled.text(STEM).call("os", "system", "touch sentinel").raw(b"s")
    path = zip_container(tmp_path / "evil.pth", pickled.end(), storages={"0": bytes(16)})
    for arguments in ({"model": path}, {"model": "efficientdet-d0", "weights": path}):
        with pytest.raises(UnsafeCheckpoint, match=r"os\.system"):
            load_model(**arguments)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pth"]


def test_ninety_classes_are_cocos_by_id(state, tmp_path):
    model = load_model(saved(state, tmp_path))
    assert model.names == COCO_ID_NAMES
    assert len(set(COCO_ID_NAMES)) == 90
    assert tuple(name for name in COCO_ID_NAMES if name not in UNUSED_NAMES) == COCO_NAMES
    # ids as the annotation files of COCO have them
    for name, id_ in {"person": 1, "stop sign": 13, "cat": 17, "toothbrush": 90}.items():
        assert COCO_ID_NAMES[id_ - 1] == name
        assert COCO_CATEGORY_IDS[name] == id_


@torch.inference_mode()
def test_classes_are_adapted_by_name(lite0, state, tmp_path):
    model = load_model(saved(state, tmp_path))
    adapted, table = adapt_classes(model, ("dog", "alien", "person"))
    assert [name for _, _, name in table.kept] == ["dog", "person"]
    assert len(table.dropped) == 78  # of the classes that COCO has
    batch = oracle.images(1, SIZE)
    classes, boxes = lite0(batch)
    raw = adapted.network(batch)
    for new, level in zip(raw[:5], classes, strict=True):
        new = new.unflatten(1, (9, 3))
        level = level.unflatten(1, (9, 90))
        torch.testing.assert_close(new[:, :, [0, 2]], level[:, :, [17, 0]])
    for new, level in zip(raw[5:], boxes, strict=True):
        torch.testing.assert_close(new, level)
    save_model(adapted, tmp_path / "adapted.safetensors")


@pytest.mark.parametrize("name", [n for n in OFFICIAL if n.startswith("efficientdet")])
def test_official_addresses_are_effdets(name):
    from effdet.config import get_efficientdet_config

    published = OFFICIAL[name]
    assert published.url == get_efficientdet_config(oracle.key(name)).url
    assert re.fullmatch(r"[0-9a-f]{8}", published.sha256)
    assert published.file_name.endswith(f"-{published.sha256}.pth")
    assert published.size is None


def test_every_size_that_effdet_offers_is_official():
    from effdet.config import get_efficientdet_config

    offered = {name for name in oracle.NAMES if get_efficientdet_config(oracle.key(name)).url}
    assert offered == {name for name in OFFICIAL if name.startswith("efficientdet")}
