"""The `.weights` binary: read and written to the byte, refused where it does not fit."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scantling.darknet import (
    DarknetNetwork,
    WeightsHeader,
    build_cfg_network,
    count_floats,
    load_cfg_network,
    loaded_tensors,
    read_cfg,
    read_weights,
    stored_tensors,
    write_weights,
)
from scantling.errors import CannotWrite, InvalidWeights

Build = Callable[..., DarknetNetwork]
REAL = (
    "yolov4-tiny-coco/yolov4-tiny",
    "yolo-fastest-1.1-coco/yolo-fastest-1.1",
    "yolo-fastest-1.1-coco/yolo-fastest-1.1-xl",
)
CONV = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
TINY_29 = 4_947_424  # values in layers 0 to 28 of yolov4-tiny
HEADER = 20


def pair() -> list[torch.Tensor]:
    """A bias and a kernel: ten values."""
    return [torch.zeros(2), torch.zeros(2, 2, 2, 1)]


def saved(path: Path, values: object, header: WeightsHeader | None = None) -> Path:
    path.write_bytes((header or WeightsHeader()).to_bytes() + np.asarray(values, "<f4").tobytes())
    return path


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_and_written_to_the_byte(assets: Path, tmp_path: Path, name: str):
    original = assets / "weights" / f"{name}.weights"
    _, network, header = load_cfg_network(original.with_suffix(".cfg"), original)
    assert header is not None
    copy = tmp_path / "copy.weights"
    write_weights(copy, stored_tensors(network), header)
    assert copy.read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (WeightsHeader(0, 2, 5, 7), "000000000200000005000000" + "0700000000000000"),
        (WeightsHeader(0, 1, 0, 7), "000000000100000000000000" + "07000000"),
        (WeightsHeader(1, 0, 0, 1 << 40), "010000000000000000000000" + "0000000000010000"),
        (WeightsHeader(1001, 0, 0, 1), "e90300000000000000000000" + "0100000000000000"),
    ],
)
def test_every_header_is_read_and_written(tmp_path: Path, header: WeightsHeader, data: str):
    assert header.to_bytes().hex() == data
    path = saved(tmp_path / "a.weights", range(10), header)
    tensors = pair()
    assert read_weights(path, tensors) == header
    assert tensors[0].tolist() == [0, 1]
    assert tensors[1].flatten().tolist() == list(range(2, 10))
    assert count_floats(path) == 10


def test_a_count_that_does_not_fit_its_field_is_refused():
    with pytest.raises(InvalidWeights, match="does not fit 4 bytes"):
        WeightsHeader(0, 1, 0, 1 << 32).to_bytes()


def test_layers_are_stored_in_darknets_order(build: Build, tmp_path: Path):
    network = build(CONV)
    norm, conv = network.layers[0].norm, network.layers[0].conv
    path = tmp_path / "a.weights"
    count = sum(tensor.numel() for tensor in stored_tensors(network))
    read_weights(saved(path, range(count)), stored_tensors(network))
    assert norm.bias.tolist() == [0, 1, 2, 3]
    assert norm.weight.tolist() == [4, 5, 6, 7]
    assert norm.running_mean.tolist() == [8, 9, 10, 11]
    assert norm.running_var.tolist() == [12, 13, 14, 15]
    assert conv.weight.flatten()[:2].tolist() == [16, 17]
    assert network.layers[1].bias[0] == 16 + 4 * 3 * 9
    assert network.layers[1].weight.flatten()[-1] == count - 1


def test_weights_of_a_shortcut_stand_where_it_stands(build: Build, tmp_path: Path):
    network = build(CONV + CONV + "[shortcut]\nfrom=-2\nweights_type=per_channel\n")
    stored = stored_tensors(network)
    assert stored[10].shape == (2, 4, 1, 1)
    read_weights(
        saved(tmp_path / "a.weights", range(sum(tensor.numel() for tensor in stored))), stored
    )
    first = 16 + 4 * 3 * 9 + 16 + 4 * 4 * 9
    previous, source = network.layers[2].weight.flatten(1).tolist()
    assert previous == list(range(first, first + 4))
    assert source == list(range(first + 4, first + 8))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (9, "holds 9 values, the network needs 10. It is cut off"),
        (11, "holds 11 values, the network needs 10. It is of another network"),
        (0, "holds 0 values"),
    ],
)
def test_a_file_of_another_length_says_both(tmp_path: Path, count: int, message: str):
    path = saved(tmp_path / "a.weights", range(count))
    tensors = pair()
    with pytest.raises(InvalidWeights, match=message):
        read_weights(path, tensors)
    assert not any(tensor.any() for tensor in tensors)


def test_a_file_of_another_class_count_says_which(assets: Path, tmp_path: Path):
    folder = assets / "weights" / "yolov4-tiny-coco"
    cfg = tmp_path / "mine.cfg"
    text = (folder / "yolov4-tiny.cfg").read_text()
    cfg.write_text(text.replace("classes=80", "classes=3").replace("filters=255", "filters=24"))
    with pytest.raises(InvalidWeights, match="network of 80 classes instead of 3"):
        load_cfg_network(cfg, folder / "yolov4-tiny.weights")


@pytest.mark.parametrize("cut", [0, 5, 15, 19, HEADER + 1, HEADER + 38])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int):
    path = saved(tmp_path / "a.weights", range(10))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidWeights, match="bytes"):
        read_weights(path, pair())


def test_another_kind_of_file_is_recognised(tmp_path: Path):
    path = tmp_path / "a.weights"
    path.write_bytes(b"QK\x03\x04" * 100)
    with pytest.raises(InvalidWeights, match=r"probably no \.weights file"):
        read_weights(path, pair())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: float):
    values = np.zeros(10)
    values[6] = bad
    tensors = [tensor + 1 for tensor in pair()]
    with pytest.raises(InvalidWeights, match="value 6 is"):
        read_weights(saved(tmp_path / "a.weights", values), tensors)
    assert all((tensor == 1).all() for tensor in tensors)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    for path in (tmp_path / "none.weights", tmp_path):
        with pytest.raises(InvalidWeights, match=str(path)):
            count_floats(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidWeights, match="it is a pipe, not a file"):
        read_weights(tmp_path / "pipe", pair())


def test_the_start_of_a_real_file_loads_into_a_network_of_other_classes(
    assets: Path, tmp_path: Path
):
    folder = assets / "weights" / "yolov4-tiny-coco"
    start = tmp_path / "yolov4-tiny.conv.29"
    whole = (folder / "yolov4-tiny.weights").read_bytes()
    start.write_bytes(whole[: HEADER + 4 * TINY_29])
    text = (folder / "yolov4-tiny.cfg").read_text()
    (tmp_path / "mine.cfg").write_text(
        text.replace("classes=80", "classes=3").replace("filters=255", "filters=24")
    )
    network = build_cfg_network(read_cfg(tmp_path / "mine.cfg"))
    head = network.layers[29].weight.detach().clone()
    read_weights(start, stored_tensors(network))

    _, full, _ = load_cfg_network(folder / "yolov4-tiny.cfg", folder / "yolov4-tiny.weights")
    for layer, reference in zip(network.layers[:29], full.layers[:29], strict=True):
        for name, tensor in reference.state_dict().items():
            assert name.endswith("num_batches_tracked") or tensor.equal(layer.state_dict()[name])
    assert head.equal(network.layers[29].weight)


def test_a_start_that_ends_within_a_layer_is_refused(assets: Path, tmp_path: Path):
    folder = assets / "weights" / "yolov4-tiny-coco"
    network = build_cfg_network(read_cfg(folder / "yolov4-tiny.cfg"))
    whole = (folder / "yolov4-tiny.weights").read_bytes()
    norm_only = TINY_29 + 255  # the bias of layer 29 without its kernel
    for values in (TINY_29 - 1, norm_only):
        path = tmp_path / "cut.weights"
        path.write_bytes(whole[: HEADER + 4 * values])
        with pytest.raises(InvalidWeights, match="end within a layer"):
            read_weights(path, stored_tensors(network), partial=True)


def test_a_start_longer_than_the_network_is_refused(tmp_path: Path):
    with pytest.raises(InvalidWeights, match="holds 11 values, the network needs 10"):
        read_weights(saved(tmp_path / "a.conv.9", range(11)), pair())


def test_what_the_cfg_says_not_to_load_takes_no_bytes(build: Build):
    network = build(CONV + "dontloadscales=1\n" + CONV + "dontload=1\n" + CONV)
    stored, loaded = stored_tensors(network), loaded_tensors(network)
    assert len(stored) == 5 + 5 + 5 + 2
    first = network.layers[0]
    assert [id(tensor) for tensor in loaded[:2]] == [id(first.norm.bias), id(first.conv.weight)]
    assert [id(tensor) for tensor in loaded[2:]] == [id(tensor) for tensor in stored[10:]]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = saved(tmp_path / "a.weights", range(10))
    before = path.read_bytes()
    with pytest.raises(InvalidWeights):
        write_weights(path, pair(), WeightsHeader(seen=-1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_weights(tmp_path / "none" / "a.weights", pair(), WeightsHeader())


@pytest.mark.parametrize(("channels", "told"), [(1, "1 channel:"), (4, "4 channels:")])
def test_weights_of_another_first_layer_are_told_as_such(
    build: Build, tmp_path: Path, channels: int, told: str
):
    network = build("[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nactivation=leaky\n")
    tensors = stored_tensors(network)
    first = next(index for index, tensor in enumerate(tensors) if tensor.dim() == 4)
    theirs = list(tensors)
    theirs[first] = torch.zeros(8, channels, 3, 3)
    path = tmp_path / "grey.weights"
    write_weights(path, theirs, WeightsHeader())
    with pytest.raises(InvalidWeights, match=f"a first layer that reads {told}.*cannot be used"):
        read_weights(path, tensors, num_classes=2)
