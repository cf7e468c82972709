"""A network that goes deeper than its heads: every command has one rule of image sizes for it."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scantling.cli import main
from scantling.darknet import WeightsHeader, load_cfg_network, stored_tensors, write_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import write_set

CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
DEEP = f"""[net]
width=64
height=64
batch=2
learning_rate=0.001
policy=constant
{4 * CONV}[upsample]
stride=2
[route]
layers=-1,-3
[convolutional]
filters=21
activation=linear
[yolo]
mask=0,1,2
anchors=8,8, 16,16, 28,28
classes=2
random=1
"""
WORDS = "are not multiples of 16, which the strides of its feature maps ask for. Use 64 or 80."


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the network, whose coarsest map has stride 16, and drawings."""
    (tmp_path / "deep.cfg").write_text(DEEP)
    torch.manual_seed(0)
    network = load_cfg_network(tmp_path / "deep.cfg")[1]
    write_weights(tmp_path / "deep.weights", stored_tensors(network), WeightsHeader())
    write_set(tmp_path / "set")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    assert cv2.imwrite(str(tmp_path / "photo.png"), image)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCANTLING_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "photo.png", "--model", "deep.cfg"],
        ["predict", "photo.png", "--model", "deep.cfg", "--engine", "openvino"],
        ["evaluate", "deep.cfg", "--data", "set/data.yaml"],
        ["export", "deep.cfg", "--to", "onnx"],
        ["export", "deep.cfg", "--to", "onnx", "--set", "any_size=true"],
        ["analyze", "deep.cfg"],
        ["train", "deep.cfg", "--data", "set/data.yaml", "--epochs", "1"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("desk")
def test_every_command_names_the_nearest_sizes(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*words, "--image-size", "72"]) == 2
    assert WORDS in capsys.readouterr().err.replace("\n", " ")


def test_sizes_of_whole_cells_of_the_coarsest_map_are_taken(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["predict", "photo.png", "--model", "deep.cfg", "--save", "jsonl"]
    assert main([*command, "--image-size", "80x48"]) == 0
    assert main([*command, "--tta", "--set", "resize_mode=letterbox"]) == 0
    assert main([*command, "--image-size", "80x56"]) == 2
    assert "image width 56 is not a multiple of 16" in capsys.readouterr().err


def test_the_cfgs_own_size_is_refused_in_the_same_words(
    desk: Path, capsys: pytest.CaptureFixture[str]
):
    (desk / "own.cfg").write_text(DEEP.replace("=64", "=72"))
    assert main(["info", "own.cfg"]) == 2
    assert WORDS in capsys.readouterr().err.replace("\n", " ")


def test_random_sizes_of_training_are_multiples_of_the_coarsest_map(desk: Path):
    command = ["train", "deep.cfg", "--data", "set/data.yaml", "--epochs", "1", "--device", "cpu"]
    steps = ["--set", "shapes.every=1", "--set", "loader.workers=0"]
    assert main([*command, *steps, "--out", "trained"]) == 0
    assert Path("trained/best.safetensors").exists()
