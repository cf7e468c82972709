"""Pickles made to run code, exhaust the machine or confuse the reader: all of them refused."""

import contextlib
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch_containers import Writer, legacy_container, zip_container

from scantling.checkpoints.pickles import read_pickled_model
from scantling.checkpoints.torch_files import read_tensors
from scantling.errors import InvalidCheckpoint, UnsafeCheckpoint

FOUR = np.arange(4, dtype="<f4").tobytes()
SHELL = "touch sentinel"


# Each writes a pickle that, run by Python's own reader, would leave the sentinel behind, import a
# module, or reach something that could.
DANGEROUS: dict[str, bytes] = {
    "os.system by REDUCE": Writer().call("os", "system", SHELL).end(),
    "posix.system by REDUCE": Writer().call("posix", "system", SHELL).end(),
    "os.system by STACK_GLOBAL": (
        Writer(4).stack_name("os", "system").raw(b"(").text(SHELL).raw(b"tR").end()
    ),
    "os.system by INST": Writer(0).raw(b"(").text(SHELL).raw(b"ios\nsystem\n").end(),
    "os.system by OBJ": (Writer().raw(b"(").name("os", "system").text(SHELL).raw(b"o").end()),
    "subprocess.Popen by NEWOBJ": (
        Writer().name("subprocess", "Popen").raw(b"(").text(SHELL).raw(b"t\x81").end()
    ),
    "subprocess.Popen by NEWOBJ_EX": (
        Writer(4)
        .name("subprocess", "Popen")
        .raw(b"(")
        .text(SHELL)
        .raw(b"t}")
        .text("shell")
        .raw(b"\x88s\x92")
        .end()
    ),
    "keywords for an unknown class": (
        Writer(4).name("models.yolo", "Model").raw(b")}").text("x").raw(b"\x88s\x92").end()
    ),
    "state of a class": (
        Writer()
        .name("models.yolo", "Model")
        .raw(b"}")
        .text("__setstate__")
        .name("models.evil", "run")
        .raw(b"sb.")
        .end()
    ),
    "state of torch's helper": (
        Writer()
        .name("torch._utils", "_rebuild_tensor_v2")
        .raw(b"}")
        .text("__code__")
        .raw(b"Nsb")
        .end()
    ),
    "state of a number": Writer().number(1).raw(b"}b").end(),
    "builtins.eval": Writer().call("builtins", "eval", "open('sentinel', 'w')").end(),
    "builtins.exec": Writer().call("builtins", "exec", "open('sentinel', 'w')").end(),
    "Python 2's eval": Writer().call("__builtin__", "eval", "1").end(),
    "builtins.open": Writer().call("builtins", "open", "sentinel", "w").end(),
    "builtins.getattr": Writer().call("builtins", "getattr", "x", "join").end(),
    "builtins.__import__": Writer().call("builtins", "__import__", "antigravity").end(),
    "builtins.map as a class": (
        Writer().name("builtins", "map").raw(b"(").text("a").text("b").raw(b"t\x81").end()
    ),
    "importlib": Writer().call("importlib", "import_module", "antigravity").end(),
    "runpy": Writer().call("runpy", "run_path", "sentinel").end(),
    "a module that would be imported": Writer().call("antigravity", "geohash").end(),
    "hidden in a state dict": (
        Writer()
        .raw(b"}")
        .text("model")
        .state_dict()
        .raw(b"s")
        .text("epoch")
        .call("os", "system", SHELL)
        .raw(b"s")
        .end()
    ),
    "hidden in a tensor": (
        Writer()
        .name("torch._utils", "_rebuild_tensor_v2")
        .raw(b"(")
        .call("os", "system", SHELL)
        .raw(b"tR")
        .end()
    ),
    "hidden in a discarded value": (
        Writer().call("os", "system", SHELL).raw(b"0").state_dict().end()
    ),
    "a name that is not text": (
        Writer(4).call("_codecs", "encode", "os", "latin1").text("system").raw(b"\x93)R").end()
    ),
    "a dotted name": (
        Writer(4).stack_name("collections", "OrderedDict.fromkeys").raw(b"(").text("a").raw(b"tR")
    ).end(),
    "extension registry, 1 byte": Writer().raw(b"\x82\x01)R").end(),
    "extension registry, 2 bytes": Writer().raw(b"\x83\x01\x00)R").end(),
    "extension registry, 4 bytes": Writer().raw(b"\x84\x01\x00\x00\x00)R").end(),
    "copyreg.add_extension": Writer().call("copyreg", "add_extension", "os").end(),
    "copyreg._reconstructor": Writer().call("copyreg", "_reconstructor", "x").end(),
    "torch's own caller of types": (
        Writer()
        .name("torch._tensor", "_rebuild_from_type_v2")
        .raw(b"(")
        .name("models", "run")
        .text(SHELL)
        .raw(b"tR")
        .end()
    ),
    "torch.hub": Writer().call("torch.hub", "load", "evil/repository", "model").end(),
    "torch.load": Writer().call("torch", "load", "sentinel").end(),
    "torch.serialization": Writer().call("torch.serialization", "load", "sentinel").end(),
    "torch.utils": Writer().call("torch.utils.model_zoo", "load_url", "http://x").end(),
    "torch.nn's function": (
        Writer().call("torch.nn.modules.module", "register_module_forward_hook", "x").end()
    ),
    "torch storage from a file": (
        Writer().call("torch", "FloatStorage", "from_file", "sentinel").end()
    ),
    "an unknown function": Writer().call("models.common", "autopad", "x").end(),
    "our own functions": (
        Writer().call("scantling.checkpoints.native", "save_model", "sentinel").end()
    ),
    "operator.attrgetter": Writer().call("operator", "attrgetter", "system").end(),
    "functools.partial": (
        Writer().name("functools", "partial").raw(b"(").name("models", "f").raw(b"tR").end()
    ),
    "codecs.decode": Writer().call("codecs", "decode", "bf.flfgrz", "rot13").end(),
    "_codecs.encode, another codec": (
        Writer().call("_codecs", "encode", "bf.flfgrz", "rot13").end()
    ),
    "marshal": Writer().call("marshal", "loads", "x").end(),
    "types.FunctionType": Writer().call("types", "FunctionType", "x").end(),
    "pickle.loads": Writer().call("pickle", "loads", "x").end(),
    "ctypes": Writer().call("ctypes", "CDLL", "sentinel").end(),
    "webbrowser": Writer().call("webbrowser", "open", "http://x").end(),
    "numpy.load": Writer().call("numpy", "load", "sentinel").end(),
    "numpy's runstring": (
        Writer().call("numpy.testing._private.utils", "runstring", "x", "y").end()
    ),
    "a value called": Writer().text("os.system").raw(b"(").text("x").raw(b"tR").end(),
    "a record called": (
        Writer().name("models.yolo", "Model").raw(b")\x81(").text("x").raw(b"tR").end()
    ),
    "a buffer from outside": Writer(5).raw(b"\x97").end(),
}


def doubling(step: bytes, count: int, start: bytes) -> bytes:
    """A value that holds the one before it twice, again and again."""
    return b"\x80\x02" + start + step * count + b"."


# Each is broken, or asks for far more than a checkpoint needs.
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no end": b"\x80\x02N",
    "only an end": b"\x80\x02.",
    "two values": b"\x80\x02NN.",
    "an open mark": b"\x80\x02(N.",
    "a mark that was never opened": b"\x80\x02t.",
    "an unknown opcode": b"\x80\x02\xff.",
    "an unknown protocol": b"\x80\x63N.",
    "a memo that is not there": b"\x80\x02h\x07.",
    "text cut short": b"\x80\x02X\xff\xff\xff\x00ab.",
    "text of 2**63 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"a.",
    "bytes of 2**62 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
    "a bytearray of 2**62 bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"a.",
    "an integer of a million bytes": b"\x80\x02\x8b"
    + struct.pack("<i", 2**20)
    + b"\x7f" * 2**20
    + b".",
    "an integer of negative length": b"\x80\x02\x8b" + struct.pack("<i", -5) + b".",
    "an integer of 10,000 digits": b"\x80\x02L" + b"9" * 10_000 + b"L\n.",
    "text that is not UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "lists in lists, 30,000 deep": b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".",
    "dictionaries in dictionaries": b"\x80\x02" + b"}K\x01" * 30_000 + b"N" + b"s" * 30_000 + b".",
    "lists that double": doubling(b"q\x00]h\x00ah\x00a", 60, b"]"),
    "tuples that double as a key": (b"\x80\x02}" + b")" + b"q\x00h\x00\x86" * 60 + b"Ns."),
    "a list as a key": b"\x80\x02}]Ns.",
    "a dictionary that holds itself": b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "a key without a value": b"\x80\x02}(K\x01u.",
    "a million steps": b"\x80\x02" + b"N0" * 500_001 + b"N.",
    "an item of a number": b"\x80\x02K\x01K\x02K\x03s.",
    "an append to a dictionary": b"\x80\x02}K\x02a.",
    "a persistent identifier as text": b"\x80\x00P../../etc/passwd\n.",
    "a storage key that is a path": Writer().storage("../../../etc/passwd", 4).end(),
    "a storage key that is absolute": Writer().storage("/etc/passwd", 4).end(),
    "a storage of an unknown type": Writer().storage("0", 4, kind="QInt8Storage").end(),
    "a storage of a class": Writer()
    .raw(b"(")
    .text("storage")
    .name("os", "PathLike")
    .raw(b"tQ")
    .end(),
    "a storage of negative length": Writer().storage("0", -4).end(),
    "a storage of 2**60 elements": Writer().storage("0", 2**60).end(),
    "a storage that is not there": Writer().state_dict(key="7").end(),
    "a storage longer than its entry": Writer().state_dict(length=5).end(),
    "a storage of two types": (
        Writer().raw(b"(").tensor().tensor(kind="IntStorage").raw(b"t").end()
    ),
    "a tensor beyond its storage": Writer().state_dict(offset=1).end(),
    "a tensor with a long stride": Writer().state_dict(shape=(2, 2), stride=(1000, 1)).end(),
    "a tensor with a negative size": Writer().state_dict(shape=(-2, 2)).end(),
    "a tensor with a negative stride": Writer().state_dict(stride=(-2, 1)).end(),
    "a tensor with a negative offset": Writer().state_dict(offset=-1).end(),
    "a tensor of 10**12 copies": Writer().state_dict(shape=(10**6, 10**6), stride=(0, 0)).end(),
    "a tensor of 1,000 dimensions": (
        Writer().state_dict(shape=(1,) * 1000, stride=(1,) * 1000).end()
    ),
    "a stride without a size": Writer().state_dict(shape=(4,), stride=(1, 1)).end(),
    "numbers alone": b"\x80\x02K\x01.",
    "a dictionary without tensors": Writer().raw(b"}").text("epoch").number(3).raw(b"s").end(),
}


@pytest.fixture(autouse=True)
def quick_and_small():
    """None of the files may take long, or much memory."""
    tracemalloc.start()
    start = time.thread_time()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.thread_time() - start < 30
    assert peak < 256 * 2**20


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("case", DANGEROUS)
def test_reader_refuses_code_without_side_effects(tmp_path, monkeypatch, case, container):
    monkeypatch.chdir(tmp_path)  # where the sentinel would appear
    pickled = DANGEROUS[case]
    path = tmp_path / "evil.pt"
    if container == "zip":
        zip_container(path, pickled, storages={"0": FOUR})
    else:
        legacy_container(path, pickled, storages={"0": (4, FOUR)})
    read_pickled_model(
        zip_container(tmp_path / "good.pt", Writer().state_dict().end(), storages={"0": FOUR})
    )
    modules = set(sys.modules)
    with pytest.raises(UnsafeCheckpoint, match="nothing of it was run"):
        read_pickled_model(path)
    assert set(sys.modules) == modules
    assert sorted(file.name for file in tmp_path.iterdir()) == ["evil.pt", "good.pt"]


@pytest.mark.parametrize(
    "case",
    [
        *("os.system by REDUCE", "os.system by STACK_GLOBAL", "os.system by INST"),
        *("os.system by OBJ", "builtins.exec", "builtins.open", "hidden in a discarded value"),
    ],
)
def test_corpus_does_run_in_pythons_own_reader(tmp_path, monkeypatch, case):
    """So the corpus tests what it says."""
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(Exception):  # torch's own names need torch's own reader
        pickle.loads(DANGEROUS[case])
    assert (tmp_path / "sentinel").exists()


def test_refusal_names_the_function(tmp_path):
    path = zip_container(tmp_path / "evil.pt", Writer().call("os", "system", "true").end())
    with pytest.raises(UnsafeCheckpoint, match=r"os\.system"):
        read_pickled_model(path)


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("case", BROKEN)
def test_reader_refuses_broken_pickles(tmp_path, case, container):
    path = tmp_path / "broken.pt"
    if container == "zip":
        zip_container(path, BROKEN[case], storages={"0": FOUR})
    else:
        legacy_container(path, BROKEN[case], storages={"0": (4, FOUR)})
    with pytest.raises(InvalidCheckpoint):
        read_pickled_model(path)


def test_modules_that_double_are_refused(tmp_path):
    """Every module holds the one before it twice: 2⁶⁰ modules in a few hundred bytes."""
    writer, empty = Writer(), b"}"
    writer.name("models.common", "Conv").raw(b")\x81}(")
    for part in ("_modules", "_parameters", "_buffers"):
        writer.text(part).raw(empty)
    writer.raw(b"ubq\x00")
    for _ in range(60):
        writer.raw(b"0").name("torch.nn.modules.container", "Sequential").raw(b")\x81}(")
        writer.text("_modules").raw(b"}(").text("0").raw(b"h\x00").text("1").raw(b"h\x00u")
        writer.text("_parameters").raw(empty).text("_buffers").raw(empty).raw(b"ubq\x00")
    path = zip_container(tmp_path / "bomb.pt", writer.end())
    with pytest.raises(InvalidCheckpoint, match="nest without end"):
        read_pickled_model(path)


def test_a_module_that_holds_itself_is_refused(tmp_path):
    writer = Writer().name("models.yolo", "Model").raw(b")\x81q\x00}(")
    writer.text("_modules").raw(b"}").text("again").raw(b"h\x00s")
    writer.text("_parameters").raw(b"}").text("_buffers").raw(b"}ub")
    path = zip_container(tmp_path / "loop.pt", writer.end())
    with pytest.raises(InvalidCheckpoint, match="nest without end"):
        read_pickled_model(path)


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("compressed", {"compression": zipfile.ZIP_DEFLATED}),
        ("little-endian", {"extra": {"byteorder": b"big"}}),
        ("TorchScript", {"extra": {"constants.pkl": b"\x80\x02)."}}),
        ("one data.pkl", {"extra": {"code/data.pkl": b"N."}}),
    ],
)
def test_zip_containers_that_torch_does_not_write_are_refused(tmp_path, what, options):
    pickled = Writer().state_dict().end()
    path = tmp_path / "odd.pt"
    if what == "little-endian":
        zip_container(path, pickled, storages={"0": FOUR})
        path.write_bytes(path.read_bytes().replace(b"little", b"biglit"))
        what = "damaged"  # the checksum already says so
    else:
        zip_container(path, pickled, storages={"0": FOUR}, **options)
    with pytest.raises(InvalidCheckpoint, match=what):
        read_pickled_model(path)


def test_big_endian_numbers_are_refused(tmp_path):
    path = tmp_path / "big.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", Writer().state_dict().end())
        archive.writestr("archive/byteorder", b"big")
        archive.writestr("archive/data/0", FOUR)
    with pytest.raises(InvalidCheckpoint, match="little-endian"):
        read_pickled_model(path)


def test_a_zip_entry_that_lies_about_its_size_is_refused(tmp_path):
    path = zip_container(tmp_path / "lie.pt", Writer().state_dict().end(), storages={"0": FOUR})
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<II", data, directory + 20, 2**31, 2**31)
    path.write_bytes(data)
    with pytest.raises(InvalidCheckpoint, match="larger than the file"):
        read_pickled_model(path)


@pytest.mark.parametrize("keep", [0, 1, 3, 30, 60, 200, 400, -1, -20, -80])
@pytest.mark.parametrize("legacy", [False, True])
def test_files_cut_short_are_refused(tmp_path, keep, legacy):
    path = tmp_path / "whole.pt"
    state = torch.nn.Conv2d(3, 4, 3).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidCheckpoint):
        read_pickled_model(path)


@pytest.mark.parametrize(
    "data",
    [b"garbage", b"\x80garbage", b"PK\x03\x04garbage", b"PK\x03\x04" + bytes(200), bytes(4096)],
)
def test_garbage_is_refused(tmp_path, data):
    path = tmp_path / "garbage.pt"
    path.write_bytes(data)
    with pytest.raises(InvalidCheckpoint):
        read_pickled_model(path)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path, problem in (
        (tmp_path, "it is a folder, not a file"),
        (tmp_path / "missing.pt", "there is no such file"),
    ):
        with pytest.raises(InvalidCheckpoint, match=problem):
            read_pickled_model(path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8))
def test_changed_bytes_are_read_or_refused_but_never_break_the_reader(tmp_path, changes):
    """A pickle of a real network with bytes changed at random."""
    whole = tmp_path / "whole.pt"
    if not whole.exists():
        torch.save(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2)), whole)
    with zipfile.ZipFile(whole) as archive:
        names = archive.namelist()
        pickled = bytearray(archive.read("whole/data.pkl"))
        keys = [name for name in names if name.startswith("whole/data/")]
        storages = {name.rpartition("/")[2]: archive.read(name) for name in keys}
    for position, value in changes:
        pickled[position % len(pickled)] = value
    path = zip_container(tmp_path / "changed.pt", bytes(pickled), storages=storages)
    try:
        found = read_pickled_model(path)
        assert all(tensor.numel() < 10_000 for _, tensor in read_tensors(found.file, found.tensors))
    except InvalidCheckpoint:
        pass
