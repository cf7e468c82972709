"""Checkpoints that list the layers of a cfg, held against the cfg's own network."""

import pytest
import torch
from torch import nn

from scantling.blocks import ConvNormAct
from scantling.checkpoints import load_model, load_pytorch
from scantling.darknet import build_cfg_network, read_cfg
from scantling.errors import InvalidCheckpoint
from scantling.specs import CATALOG

SMALL = """[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=8
pad=1
activation=leaky
[convolutional]
filters=21
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58
classes=2
num=3
"""


@pytest.fixture(autouse=True)
def space(tmp_path):
    """Some files are large; none is left behind."""
    yield
    for path in tmp_path.glob("*.pt"):
        path.unlink()


def listed(network):
    """A network's tensors under the names that the PyTorch code for cfgs gives them."""
    state = {}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, ConvNormAct):
            state[f"module_list.{index}.Conv2d.weight"] = layer.conv.weight.detach()
            for name, tensor in layer.norm.state_dict().items():
                state[f"module_list.{index}.BatchNorm2d.{name}"] = tensor
        elif convolutions := [part for part in layer.modules() if isinstance(part, nn.Conv2d)]:
            for name, tensor in convolutions[0].state_dict().items():
                state[f"module_list.{index}.Conv2d.{name}"] = tensor
    return state


def randomised(cfg):
    network = build_cfg_network(read_cfg(cfg)).eval()
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-4  # as in the code that wrote such checkpoints
            module.running_var.uniform_(1e-4, 1, generator=generator)
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.weight.data.uniform_(0.3, 1, generator=generator)
    return network


def agree(loaded, network, side=64):
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for one, other in zip(loaded.network(images), network(images), strict=True):
            assert (one - other).abs().max() < 1e-4 * other.abs().max()


def test_cfg_says_which_network_it_is(tmp_path):
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL)
    network = randomised(cfg)
    torch.save({"model": listed(network), "epoch": 3}, tmp_path / "small.pt")
    loaded = load_model(cfg, weights=tmp_path / "small.pt")
    agree(loaded, network)
    assert loaded.names == ("class0", "class1")


def test_boxes_are_decoded_as_the_pytorch_code_does(tmp_path):
    """Size = anchor · (2σ)², centre = cell + 2σ − ½, whatever the cfg says."""
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL)
    network = randomised(cfg)
    torch.save(listed(network), tmp_path / "small.pt")
    loaded = load_model(cfg, weights=tmp_path / "small.pt")
    raw = torch.full((1, 21, 8, 8), 1.0)
    boxes = loaded.network.decode([raw], (64, 64)).boxes[0, 0]
    sigma = torch.sigmoid(torch.tensor(1.0))
    width, height = 10 * (2 * sigma) ** 2, 14 * (2 * sigma) ** 2
    centre = 8 * (2 * sigma - 0.5)
    expected = torch.stack(
        [centre - width / 2, centre - height / 2, centre + width / 2, centre + height / 2]
    )
    torch.testing.assert_close(boxes, expected)


def test_model_is_recognised_by_its_shapes(tmp_path, assets, logged: list[str]):
    network = randomised(assets / "cfg" / "yolov4-csp.cfg")
    path = tmp_path / "unnamed.pt"
    torch.save({"model": listed(network), "optimizer": None}, path)
    loaded = load_pytorch(path, None)
    assert loaded.spec.name == "yolov4-csp"
    assert "yolov4-csp with 80 classes" in logged[0]
    agree(loaded, network)
    with pytest.raises(InvalidCheckpoint, match=r"Expected .* give the model"):
        load_pytorch(path, CATALOG["yolov4x-mish"])


def test_shapes_of_no_known_model_ask_for_its_name(tmp_path):
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL)
    path = tmp_path / "small.pt"
    torch.save(listed(randomised(cfg)), path)
    with pytest.raises(InvalidCheckpoint, match="Say which model it is"):
        load_pytorch(path, None)


def test_tiny_by_name_is_refused_because_it_keeps_the_other_half(tmp_path, assets):
    network = randomised(assets / "cfg" / "yolov4-tiny.cfg")
    path = tmp_path / "tiny.pt"
    torch.save(listed(network), path)
    with pytest.raises(InvalidCheckpoint, match="group_id=0"):
        load_model("yolov4-tiny", weights=path)
    agree(load_model(assets / "cfg" / "yolov4-tiny.cfg", weights=path), network)


def test_other_tensors_are_refused(tmp_path):
    cfg = tmp_path / "small.cfg"
    cfg.write_text(SMALL)
    path = tmp_path / "small.pt"
    torch.save(listed(randomised(cfg)) | {"module_list.0.w": torch.ones(2)}, path)
    with pytest.raises(InvalidCheckpoint, match=r"module_list\.0\.w"):
        load_model(cfg, weights=path)
