"""Native checkpoints: what was saved is what is loaded, and nothing else is."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from scantling.blocks import fuse_norms
from scantling.checkpoints import Model, load_native, save_model
from scantling.darknet import build_cfg_network, read_cfg
from scantling.detector import build_detector
from scantling.errors import CannotWrite, InvalidCheckpoint
from scantling.specs import CATALOG

NAMES = ("cell", "platelet")

SHARED = """[net]
width=64
height=64
[convolutional]
batch_normalize=1
filters=3
size=1
activation=leaky
[convolutional]
share_index=0
batch_normalize=1
filters=3
size=1
activation=leaky
[convolutional]
filters=21
size=1
stride=8
activation=linear
[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58
classes=2
num=3
"""


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    spec = CATALOG["yolov4-tiny"].replace(num_classes=2)
    network = build_detector(spec).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(9)
    return Model(spec, network, NAMES)


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    return path


def read_parts(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_parts(path, table, payload):
    head = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + payload)


def change_header(path, change):
    """Rewrite the JSON that scantling keeps in the metadata."""
    table, payload = read_parts(path)
    header = json.loads(table["__metadata__"]["scantling"])
    changed = change(header)
    table["__metadata__"]["scantling"] = json.dumps(header if changed is None else changed)
    write_parts(path, table, payload)


def test_load_gives_back_everything(model, saved):
    loaded = load_native(saved)
    assert (loaded.spec, loaded.names) == (model.spec, model.names)
    expected = model.network.state_dict()
    given = loaded.network.state_dict()
    assert list(given) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(given[name], tensor), name
        assert given[name].dtype == tensor.dtype
    assert not loaded.network.training
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())


def test_cfg_network_comes_back_with_its_cfg(tmp_path, assets):
    spec = read_cfg(assets / "cfg" / "yolov4-tiny.cfg")
    network = build_cfg_network(spec).eval()
    names = tuple(f"n{i}" for i in range(80))
    save_model(Model(spec, network, names), tmp_path / "cfg.safetensors")
    loaded = load_native(tmp_path / "cfg.safetensors")
    assert (loaded.spec, loaded.names) == (spec, names)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for one, other in zip(loaded.network(images), network(images), strict=True):
            assert torch.equal(one, other)


def test_shared_weights_are_still_shared_after_loading(tmp_path):
    cfg = tmp_path / "shared.cfg"
    cfg.write_text(SHARED)
    spec = read_cfg(cfg)
    save_model(Model(spec, build_cfg_network(spec), NAMES), tmp_path / "shared.safetensors")
    network = load_native(tmp_path / "shared.safetensors").network
    assert network.layers[0].conv.weight is network.layers[1].conv.weight


def test_same_model_gives_the_same_bytes(model, saved, tmp_path):
    again = tmp_path / "again.safetensors"
    save_model(load_native(saved), again)
    assert again.read_bytes() == saved.read_bytes()


def test_other_readers_of_safetensors_agree(model, saved):
    tensors = load_file(saved)
    expected = model.network.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())


def test_save_replaces_a_file_whole_and_leaves_nothing_else(model, saved):
    saved.write_bytes(b"old")
    save_model(model, saved)
    load_native(saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_save_that_fails_leaves_the_old_file(model, saved):
    before = saved.read_bytes()
    with torch.device("meta"):
        without_memory = build_detector(model.spec)
    with pytest.raises(NotImplementedError):
        save_model(Model(model.spec, without_memory, NAMES), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_folder_that_is_not_there_is_named(model, tmp_path):
    with pytest.raises(CannotWrite, match="cannot be written"):
        save_model(model, tmp_path / "nowhere" / "model.safetensors")


def test_fused_network_is_refused(model, tmp_path):
    network = build_detector(model.spec).eval()
    fuse_norms(network)
    with pytest.raises(InvalidCheckpoint, match="Save the network before fuse_norms"):
        save_model(Model(model.spec, network, NAMES), tmp_path / "fused.safetensors")
    assert not list(tmp_path.iterdir())


def test_half_precision_is_refused(model, tmp_path):
    network = build_detector(model.spec).half()
    with pytest.raises(InvalidCheckpoint, match=r"torch\.float32"):
        save_model(Model(model.spec, network, NAMES), tmp_path / "half.safetensors")


def test_wrong_number_of_names_is_refused(model, tmp_path):
    with pytest.raises(InvalidCheckpoint, match="3 names for 2 classes"):
        save_model(Model(model.spec, model.network, (*NAMES, "x")), tmp_path / "n.safetensors")


def test_another_suffix_is_refused(model, tmp_path):
    with pytest.raises(InvalidCheckpoint, match=r"Use \.safetensors"):
        save_model(model, tmp_path / "model.pt")


def set_at(*path, value):
    def change(header):
        inner = header
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


HEADERS = {
    "version 2": (set_at("version", value=2), "version 2"),
    "no version": (lambda header: header.pop("version") and None, "version None"),
    "names too few": (set_at("names", value=["cell"]), "1 names for 2 classes"),
    "names that are numbers": (set_at("names", value=[1, 2]), "names"),
    "another kind": (set_at("kind", value="cfg"), "not that of kind 'cfg'"),
    "an unknown kind": (set_at("kind", value="pickle"), "kind"),
    "an unknown key": (set_at("run", value="me"), "run"),
    "an unknown key in the spec": (set_at("spec", "run", value="me"), "run"),
    "a spec that is text": (set_at("spec", value="yolov4"), "spec"),
    "an unknown backbone": (set_at("spec", "backbone", "kind", value="os"), "No backbone"),
    "an unknown stage": (set_at("spec", "backbone", "stages", 0, "kind", value="x"), "No stage"),
    "other classes": (set_at("spec", "num_classes", value=3), "2 names for 3 classes"),
    "other channels": (set_at("spec", "neck", "channels", value=[128, 512]), "of shape"),
    "more stages": (
        set_at("spec", "backbone", "outputs", value=9),
        "9 outputs, but the stages have 4 strides",
    ),
    "a billion blocks": (
        set_at("spec", "backbone", "stages", 0, "depth", value=10**9),
        "depth is 1000000000",
    ),
    "a billion channels": (
        set_at("spec", "backbone", "stem_channels", value=10**9),
        "channels is 1000000000",
    ),
    "channels beyond all numbers": (
        set_at("spec", "backbone", "stem_channels", value=10**18),
        "describes no network",
    ),
    "no JSON object": (lambda _: [1], "not valid"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_that_is_not_valid_is_refused(saved, case):
    change, match = HEADERS[case]
    change_header(saved, change)
    with pytest.raises(InvalidCheckpoint, match=match):
        load_native(saved)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.pop("backbone.stem.norm.bias"), "1 tensors are .*stem.norm.bias"),
        (lambda t: t.update(extra=torch.ones(1)), "1 tensors are .*extra"),
        (lambda t: t.update({"backbone.stem.norm.bias": torch.ones(7)}), r"of shape \(7,\)"),
        (lambda t: t.update({"backbone.stem.norm.bias": torch.ones(32).half()}), "F16"),
        (lambda t: t.update({"backbone.stem.norm.bias": torch.ones(32).long()}), "I64"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(saved, change, match):
    metadata = read_parts(saved)[0]["__metadata__"]
    tensors = load_file(saved)
    change(tensors)
    save_file(tensors, saved, metadata)
    with pytest.raises(InvalidCheckpoint, match=match):
        load_native(saved)


def test_safetensors_of_others_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": torch.ones(2)}, path, metadata)
        with pytest.raises(InvalidCheckpoint, match="no scantling header"):
            load_native(path)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 3000, -1])
def test_file_cut_short_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(InvalidCheckpoint, match="cannot be read as safetensors"):
        load_native(saved)


def test_header_that_claims_to_be_huge_is_refused(saved):
    saved.write_bytes(struct.pack("<Q", 2**62) + saved.read_bytes()[8:])
    with pytest.raises(InvalidCheckpoint, match="cannot be read as safetensors"):
        load_native(saved)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidCheckpoint, match="there is no such file"):
        load_native(tmp_path / "missing.safetensors")
