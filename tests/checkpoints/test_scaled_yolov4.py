"""Scaled-YOLOv4 checkpoints, held against a second implementation of their networks."""

import importlib.util
import json

import pytest
import scaled_yolov4_network as reference
import torch

from scantling.checkpoints import load_model, load_pytorch
from scantling.checkpoints.scaled_yolov4_layout import scaled_yolov4_layout
from scantling.errors import InvalidCheckpoint
from scantling.specs import CATALOG
from stand_in import DATA

# Keys, parameters and sha256 of names and shapes, counted from the public definitions.
PUBLISHED = {
    "yolov4-csp": (
        660,
        52_924_765,
        "a3a6d92a66f48ad1e5a2e7f3475a44abdc1460c26ef70bff2e1ef99125a54e3e",
    ),
    "yolov4-p5": (
        943,
        70_834_012,
        "a7d5665321ef6cb790d668ae38555772b88ec2f343ca6b14b50a6ac9db545442",
    ),
    "yolov4-p6": (
        1186,
        127_590_576,
        "f05f3d87fe4a87f28e9bd9c2df3b729d4f4ad66592a0a7f55e41610b458c8d3b",
    ),
    "yolov4-p7": (
        1429,
        287_575_580,
        "240e76aca3e62746df9b1459f91778607d025199f906e63c6ec9bba08dd818a9",
    ),
}
SPEC_NAMES = {
    "yolov4-csp": "yolov4-csp-pt",
    "yolov4-p5": "yolov4-p5-pt",
    "yolov4-p6": "yolov4-p6-pt",
    "yolov4-p7": "yolov4-p7",
}
slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def space(tmp_path):
    """The files are large; none is left behind."""
    yield
    for path in tmp_path.glob("*.pt"):
        path.unlink()


def saved(tmp_path, name, *, classes=3, half=True, edit=None, **options):
    """A checkpoint of random weights as it was published, and the network that was saved."""
    network = reference.build(reference.SHAPES[name], classes=classes).eval()
    reference.randomise(network, seed=0)
    if edit is not None:
        edit(network)
    network = network.half() if half else network
    path = tmp_path / f"{name}.pt"
    reference.save_whole(network, path, **options)
    return path, network.float()


@pytest.mark.parametrize("name", PUBLISHED)
def test_reference_has_the_published_names_and_shapes(name):
    with torch.device("meta"):
        network = reference.build(reference.SHAPES[name])
    state = network.state_dict()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (len(state), parameters, reference.key_hash(state)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_layout_accounts_for_every_published_tensor(name):
    with torch.device("meta"):
        state = reference.build(reference.SHAPES[name]).state_dict()
    places = scaled_yolov4_layout(CATALOG[SPEC_NAMES[name]])
    anchors = {key for key in state if key.endswith((".anchors", ".anchor_grid"))}
    assert {place.source for place in places} == state.keys() - anchors
    assert len({place.target for place in places}) == len(places)


@pytest.mark.parametrize(
    "name",
    [
        *("yolov4-csp", "yolov4-p5"),
        *(pytest.param(name, marks=slow) for name in ("yolov4-p6", "yolov4-p7")),
    ],
)
def test_converted_network_predicts_what_the_pickled_one_did(tmp_path, name):
    path, network = saved(tmp_path, name)
    assert importlib.util.find_spec("models") is None  # nothing of the pickle can be imported
    assert importlib.util.find_spec("mish_cuda") is None

    loaded = load_pytorch(path, None)

    assert loaded.spec.name == SPEC_NAMES[name]
    assert loaded.names == ("kind 0", "kind 1", "kind 2")
    assert all(tensor.dtype == torch.float32 for tensor in loaded.network.parameters())
    side = loaded.spec.strides[-1]
    images = torch.rand(1, 3, 2 * side, 3 * side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, given = network(images), loaded.network(images)
    assert len(given) == len(expected)
    for one, other in zip(given, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-4 * other.std()


def test_anchors_come_from_the_file_in_pixels(tmp_path):
    def edit(network):
        network.model[-1].anchor_grid *= 2
        network.model[-1].anchors *= 2

    path, _ = saved(tmp_path, "yolov4-csp", edit=edit)
    assert load_pytorch(path, None).spec.head.anchors[0] == ((24, 32), (38, 72), (80, 56))


def test_published_anchors_leave_the_spec_as_published(tmp_path):
    path, _ = saved(tmp_path, "yolov4-csp", classes=80)
    assert load_pytorch(path, None).spec == CATALOG["yolov4-csp-pt"]


def test_state_dict_alone_is_enough(tmp_path):
    _, network = saved(tmp_path, "yolov4-csp")
    state = {
        key: value
        for key, value in network.state_dict().items()
        if not key.endswith(("num_batches_tracked", ".anchor_grid"))
    }
    path = tmp_path / "state.pt"
    torch.save({"model": state}, path)
    loaded = load_pytorch(path, None)
    assert loaded.names == ("class0", "class1", "class2")
    assert loaded.spec.head.anchors == CATALOG["yolov4-csp-pt"].head.anchors
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images), network(images), rtol=1e-3, atol=1e-4)


def test_file_of_another_model_is_refused(tmp_path):
    path, _ = saved(tmp_path, "yolov4-csp")
    with pytest.raises(InvalidCheckpoint, match="it holds yolov4-csp-pt, not yolov4-p5"):
        load_model("yolov4-p5", weights=path)


def test_name_with_or_without_suffix_takes_the_file(tmp_path):
    path, _ = saved(tmp_path, "yolov4-csp")
    for name in ("yolov4-csp", "yolov4-csp-pt"):
        assert load_model(name, weights=path).spec.name == "yolov4-csp-pt"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("model.0.bn.bias"), "names of no Scaled-YOLOv4 model.*model.0.bn.bias"),
        (lambda s: s.update({"model.99.x": torch.ones(1)}), "names of no Scaled-YOLOv4 model"),
        (lambda s: s.update({"model.0.conv.weight": torch.ones(8, 3, 3, 3)}), "shape"),
        (lambda s: s.update({"model.4.bn.bias": torch.ones(64)}), "shape"),
        (lambda s: s.update({"model.0.bn.bias": torch.ones(32, dtype=torch.int64)}), "int64"),
        (lambda s: s.update({"model.31.m.0.bias": torch.ones(25)}), "25"),
        (lambda s: s.update({"model.31.anchor_grid": torch.zeros(3, 1, 3, 1, 1, 2)}), "no sizes"),
        (lambda s: s.update({"model.31.anchor_grid": torch.ones(3, 3)}), "anchor_grid"),
    ],
)
def test_state_that_does_not_fit_is_refused(tmp_path, change, match):
    with torch.device("meta"):
        names = reference.build(reference.CSP, classes=3).state_dict()
    state = {key: torch.ones(value.shape, dtype=torch.float16) for key, value in names.items()}
    state |= {key: torch.zeros((), dtype=torch.int64) for key in state if "tracked" in key}
    change(state)
    path = tmp_path / "state.pt"
    torch.save(state, path)
    with pytest.raises(InvalidCheckpoint, match=match):
        load_pytorch(path, None)


def test_counts_are_those_of_the_published_networks():
    counts = json.loads((DATA / "counts.json").read_text())["scaledyolov4_pytorch"]
    for name, (keys, parameters, digest) in PUBLISHED.items():
        found = counts[name]
        assert (found["state_dict_keys"], found["params"]) == (keys, parameters)
        assert found["key_shape_sha256"] == digest
