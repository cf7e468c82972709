"""What a pickle costs is counted by size: neither copies nor chosen keys keep the reader busy."""

import struct
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from torch_containers import Writer, zip_container

from bounded import bounded
from scantling.checkpoints import pickle_rules
from scantling.checkpoints.pickles import read_pickled_model
from scantling.checkpoints.torch_files import MOST_READS, read_tensors
from scantling.errors import InvalidCheckpoint


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def called(name: bytes, argument: bytes, times: int, *more: bytes) -> bytes:
    """A list of the same call, many times, of one argument that is in the pickle once."""
    start = argument + b"q\x00" + b"0" + name + b"q\x010"
    return start + b"(" + (b"h\x01h\x00" + b"".join(more) + b"\x85R") * times + b"l."


MODULUS = sys.hash_info.modulus
ENCODE = b"c_codecs\nencode\n"
ORDERED = b"ccollections\nOrderedDict\n"
PAIRS = b"](" + b"".join(whole(i) + b"N\x86" for i in range(1000)) + b"e"
# -1 and -2 have one hash, in a tuple too: 8,192 keys of small numbers
SAME = [b"(" + b"".join(map(whole, row)) + b"t" for row in product((-1, -2), repeat=13)]
COSTLY = {
    "a long text that becomes bytes again and again": text("a" * (1 << 20))
    + b"q\x000" + ENCODE + b"q\x010" + text("latin1") + b"q\x020"
    + b"(" + b"h\x01h\x00h\x02\x86R" * 20_000 + b"l.",
    "a list that becomes a dictionary again and again": called(ORDERED, PAIRS, 20_000),
    "a list that becomes a set again and again": called(
        b"c__builtin__\nset\n", b"](" + b"N" * 20_000 + b"e", 20_000
    ),
    "a list that becomes a size again and again": called(
        b"ctorch\nSize\n", b"](" + b"N" * 20_000 + b"e", 20_000
    ),
    "whole numbers of one hash": b"}("
    + b"".join(whole(MODULUS * i) + b"N" for i in range(1, 200_000)) + b"u.",
    "tuples of one hash": b"}(" + b"".join(key + b"N" for key in SAME) + b"u.",
    "floats of one hash in a set": b"\x8f("
    + b"".join(
        b"G" + struct.pack(">d", float(2.0 ** (61 * i)) * m)
        for m in range(1, 6001, 2) for i in range(16)
    ) * 4 + b"\x90.",
}  # fmt: skip


@pytest.mark.parametrize("case", [name for name in COSTLY if "floats" not in name])
def test_a_pickle_that_costs_more_than_a_network_is_refused(case: str, tmp_path: Path):
    path = zip_container(tmp_path / "costly.pt", b"\x80\x02" + COSTLY[case])
    with (
        bounded(megabytes=200 if "text" in case else None),
        pytest.raises(InvalidCheckpoint, match="more time or memory"),
    ):
        read_pickled_model(path)


def test_few_keys_of_one_hash_end(tmp_path: Path):
    path = zip_container(
        tmp_path / "floats.pt", b"\x80\x04" + COSTLY["floats of one hash in a set"]
    )
    with bounded(), pytest.raises(InvalidCheckpoint):
        read_pickled_model(path)


def test_keys_that_training_scripts_write_cost_nothing(tmp_path: Path):
    """Metrics of 80 classes and of thresholds over 500 epochs, beside the weights."""
    state = torch.nn.Conv2d(3, 4, 3).state_dict()
    thresholds = [0.5 + 0.05 * step for step in range(10)]
    epochs = [{**dict.fromkeys(range(-2, 80), 0.5), **dict.fromkeys(thresholds, 1)}] * 500
    torch.save({"model": state, "history": [dict(epoch) for epoch in epochs]}, tmp_path / "a.pt")
    assert read_pickled_model(tmp_path / "a.pt").tensors.keys() == state.keys()


def module(members: bytes) -> bytes:
    parts = text("_modules") + members
    return b"cmodels.yolo\nModel\n)\x81}(" + parts + (
        text("_parameters") + b"}" + text("_buffers") + b"}ub"
    )  # fmt: skip


def test_a_large_module_that_is_named_many_times_is_refused(tmp_path: Path):
    """2,000 names of one module with 2,000 tensors: each is looked at, four million in all."""
    tensors = b"".join(text(f"t{i}") + b"h\x00" for i in range(2_000))
    tensor = Writer().tensor().data[2:] + b"q\x000"
    inner = b"cmodels.yolo\nModel\n)\x81}(" + text("_modules") + b"}" + (
        text("_parameters") + b"}(" + tensors + b"u" + text("_buffers") + b"}ubq\x010"
    )  # fmt: skip
    names = b"}(" + b"".join(text(str(i)) + b"h\x01" for i in range(2_000)) + b"u"
    path = zip_container(
        tmp_path / "wide.pt", b"\x80\x02" + tensor + inner + module(names) + b".",
        storages={"0": bytes(16)},
    )  # fmt: skip
    with bounded(), pytest.raises(InvalidCheckpoint, match="nest without end"):
        read_pickled_model(path)


def test_tensors_that_leave_out_most_of_a_storage_are_refused(tmp_path: Path):
    """Each reads all of the storage for two numbers of it."""
    length = 1 << 16
    writer = Writer().raw(b"}(")
    for place in range(MOST_READS + 1):
        writer.text(f"w{place}").tensor(length=length, shape=(2,), stride=(length - 1,))
    path = zip_container(
        tmp_path / "strided.pt", writer.raw(b"u").end(), storages={"0": bytes(4 * length)}
    )
    found = read_pickled_model(path)
    with pytest.raises(InvalidCheckpoint, match="share their numbers"):
        list(read_tensors(found.file, found.tensors))


def test_every_call_is_charged():
    """A call that copies what it is given, and is added later, is charged too."""
    allowance = pickle_rules.Allowance()
    left = allowance._left
    name = pickle_rules.Global("torch", "Size")
    pickle_rules.call(name, ([1, 2, 3],), allowance)
    assert left - allowance._left == 3 * pickle_rules.ITEM_COST
