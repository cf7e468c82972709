"""Ordinary `.pt` files: what torch saved is what is read."""

import _compat_pickle
import argparse
import collections
import pathlib

import numpy as np
import pytest
import torch
from torch import nn
from torch._weights_only_unpickler import _get_allowed_globals

from scantling.checkpoints import load_model, pickle_rules
from scantling.checkpoints.pickles import read_pickled_model
from scantling.checkpoints.torch_files import read_tensors
from scantling.errors import InvalidCheckpoint


def read(path):
    found = read_pickled_model(path)
    return found, dict(read_tensors(found.file, found.tensors))


def assert_equal_states(given, expected):
    assert list(given) == list(expected)
    for name, tensor in expected.items():
        assert given[name].dtype == tensor.dtype, name
        assert torch.equal(given[name], tensor), name


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ModuleDict({"inner": nn.Linear(2, 2)})
    )


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("wrap", ["alone", "model", "state_dict", "whole", "whole in a dictionary"])
def test_reader_gives_the_state_dict_that_torch_saved(tmp_path, network, legacy, half, wrap):
    network = network.half() if half else network
    state = network.state_dict()
    saved = {
        "alone": state,
        "model": {"model": state, "epoch": 3},
        "state_dict": {"state_dict": state},
        "whole": network,
        "whole in a dictionary": {"epoch": -1, "model": network, "optimizer": None},
    }[wrap]
    path = tmp_path / "network.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    assert_equal_states(read(path)[1], state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path, network, protocol):
    path = tmp_path / "network.pt"
    torch.save(network, path, pickle_protocol=protocol)
    assert_equal_states(read(path)[1], network.state_dict())


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
    ],
)
def test_every_number_type_is_read(tmp_path, dtype):
    state = {"values": torch.tensor([0, 1, 1, 0, 1]).to(dtype), "none": torch.empty(0, 3).to(dtype)}
    path = tmp_path / "numbers.pt"
    torch.save(state, path)
    assert_equal_states(read(path)[1], state)


@pytest.mark.parametrize("legacy", [False, True])
def test_views_are_read_as_what_they_show(tmp_path, legacy):
    base = torch.arange(24.0).reshape(2, 3, 4)
    state = {
        "transposed": base.transpose(0, 2),
        "slice": base[:, 1:, ::2],
        "shared": base,
        "scalar": base[1, 2, 3],
        "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    path = tmp_path / "views.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    assert_equal_states(read(path)[1], state)


def test_buffers_that_a_state_dict_leaves_out_are_left_out(tmp_path):
    network = nn.Linear(2, 2)
    network.register_buffer("kept", torch.ones(2))
    network.register_buffer("scratch", torch.ones(2), persistent=False)
    path = tmp_path / "network.pt"
    torch.save(network, path)
    assert_equal_states(read(path)[1], network.state_dict())


def test_attributes_of_the_network_come_along(tmp_path, network):
    network.names = ["cell", "platelet"]
    network.yaml = {"nc": 2, "backbone": [[-1, 1, "Conv", [32, 3]]]}
    path = tmp_path / "network.pt"
    torch.save({"model": network}, path)
    found, _ = read(path)
    assert found.kind == "torch.nn.modules.container.Sequential"
    assert found.attributes["names"] == ["cell", "platelet"]
    assert found.attributes["yaml"] == network.yaml


def test_what_training_scripts_leave_behind_does_no_harm(tmp_path, network):
    left = {
        "model": network.state_dict(),
        "best_fitness": np.float64(0.5),
        "history": np.arange(3.0),
        "options": argparse.Namespace(epochs=3, path=pathlib.PurePosixPath("a") and None),
        "optimizer": torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9).state_dict(),
        "classes": {"a", "b"},
        "order": collections.OrderedDict(a=1),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "size": torch.Size([1, 2]),
        "bytes": b"\x00\xff",
    }
    path = tmp_path / "training.pt"
    torch.save(left, path)
    assert_equal_states(read(path)[1], network.state_dict())


def test_the_prefix_of_parallel_training_is_taken_away(tmp_path, network):
    path = tmp_path / "parallel.pt"
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, path)
    assert_equal_states(read(path)[1], network.state_dict())


def test_damaged_numbers_are_refused(tmp_path):
    path = tmp_path / "damaged.pt"
    torch.save({"weight": torch.arange(100.0)}, path)
    data = path.read_bytes()
    position = data.index(np.arange(100, dtype="<f4").tobytes())
    path.write_bytes(data[:position] + b"\xff" + data[position + 1 :])
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        read(path)


@pytest.mark.parametrize("name", [*pickle_rules._CALLS, *pickle_rules.STORAGES])
def test_all_that_is_built_is_on_torchs_own_list_of_what_is_safe(name):
    module, _, name = name.rpartition(".")
    modern = _compat_pickle.IMPORT_MAPPING.get(module, module)  # as Python 2 spelled it
    assert f"{modern}.{name}" in _get_allowed_globals()


@pytest.mark.parametrize("legacy", [False, True])
def test_real_weights_are_read_as_torchs_own_safe_reader_reads_them(tmp_path, assets, legacy):
    model = load_model(assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.cfg")
    path = tmp_path / "network.pth"
    saved = {"state_dict": model.network.state_dict(), "epoch": 3}
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    assert_equal_states(read(path)[1], torch.load(path, weights_only=True)["state_dict"])
