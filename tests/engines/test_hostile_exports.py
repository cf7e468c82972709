"""Exported files from anybody: refused with a message, without running or swallowing anything."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scantling.engines import open_engine, read_metadata
from scantling.engines.files import MAGIC, engine_header, parse_metadata
from scantling.engines.torch_archive import check_expression, check_payloads, safe_archive
from scantling.errors import InvalidExport, ScantlingError

IR = (
    '<?xml version="1.0"?>\n<net name="a" version="11">'
    "<layers>{}</layers><rt_info>{}</rt_info></net>"
)
LAYER = '<layer id="0" name="a" type="Parameter" version="opset1"></layer>'


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def onnx(*nodes: bytes, extra: bytes = b"", metadata: bytes = b"{}") -> bytes:
    graph = b"".join(field(1, node) for node in nodes)
    entry = field(1, b"scantling") + field(2, metadata)
    return field(1, 9) + field(7, graph) + extra + field(14, entry)


def ir(folder: Path, layers: str = LAYER, info: str = "", head: str = "") -> Path:
    path = folder / "a.xml"
    text = IR.format(layers, info)
    path.write_text(text.replace("<net", head + "<net", 1), "utf-8")
    path.with_suffix(".bin").write_bytes(bytes(64))
    return path


def rezip(path: Path, out: Path, change) -> Path:
    """The archive with its parts changed: change(name, data) → data, None to leave it out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            data = change(member.filename.partition("/")[2], old.read(member))
            if data is not None:
                new.writestr(member.filename, data)
    return out


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x00" * 1000, "no ONNX"),
        (b"hello world, I am no model", "no ONNX"),
        (onnx()[:-3], "ends too early|no ONNX"),
        (field(7, b"") + b"\x7a\xff\xff\xff\xff\x7f", "ends too early"),
        (field(1, 9), "no graph"),
        (onnx(metadata=b"{}"), "metadata does not hold"),
        (onnx(metadata=b"[" * 100_000), "metadata does not hold"),
        (onnx(metadata=b" " * (5 << 20)), "bytes"),
        (onnx(field(4, b"Loop")), "control flow in it: Loop"),
        (onnx(field(4, b"Relu") + field(5, field(6, b""))), "graph within a node"),
        (onnx(field(4, b"Evil") + field(7, b"evil.domain")), "evil.domain"),
        (onnx(extra=field(8, field(1, b"evil"))), "evil"),
        (onnx(extra=field(25, b"")), "functions"),
        (field(7, field(5, field(13, b"../../etc/passwd"))), "another file"),
        (field(7, field(5, field(14, 1))), "another file"),
        (field(7, field(5, field(1, 1 << 40) + field(9, b"1234"))), "claims"),
        (field(7, field(5, field(1, varint(1 << 20) * 3) + field(4, b"1234"))), "claims"),
        (field(7, field(5, field(1, varint(1 << 60) * 50_000))), "claims"),
        (onnx(field(5, field(5, field(1, 1 << 40)))), "claims"),
    ],
)
def test_an_onnx_file_that_is_not_what_it_should_be_is_refused(tmp_path: Path, data, message):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidExport, match=message):
        read_metadata(path)


def test_an_onnx_file_of_endless_small_fields_is_refused_soon(tmp_path: Path):
    path = tmp_path / "a.onnx"
    path.write_bytes(field(7, b"\x08\x00" * 3_000_000))
    with pytest.raises(InvalidExport, match="more than"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("head", "layers", "info", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "ha">]>', LAYER, "", "document type"),
        ("", LAYER.replace("Parameter", "Loop"), "", "Loop"),
        ("", LAYER.replace("Parameter", "TensorIterator"), "", "TensorIterator"),
        ("", "<a>" * 100 + "</a>" * 100, "", "within one another"),
        ("", "", "", "no OpenVINO"),
        ("", LAYER + "<data offset='0' size='9999'/>", "", "cut short"),
        ("", LAYER + "<data offset='-5' size='1'/>", "", "lies nowhere"),
        ("", LAYER + f"<data offset='{'9' * 5000}' size='1'/>", "", "lies nowhere"),
        ("", LAYER + "<data offset='0' size='64'/>" * 20_000, "", "claim more"),
        ("", LAYER, "", "says nothing"),
        ("", LAYER, '<scantling value="{}"/>', "metadata does not hold"),
        ("", LAYER + "<", "", "not XML"),
    ],
)
def test_an_openvino_file_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, head, layers, info, message
):
    with pytest.raises(InvalidExport, match=message):
        read_metadata(ir(tmp_path, layers, info, head))


def test_a_thousand_million_laughs_are_not_laughed(tmp_path: Path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    with pytest.raises(InvalidExport, match="document type"):
        read_metadata(ir(tmp_path, LAYER, "&e11;", f"<!DOCTYPE net [{entities}]>"))


def test_an_openvino_file_without_its_weights_is_refused(tmp_path: Path):
    path = ir(tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(InvalidExport, match=r"a\.bin"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin"),
        (MAGIC + b"\xff\xff\xff\xff", "claims"),
        (MAGIC + struct.pack("<I", 100) + b"{}", "ends within"),
        (MAGIC + struct.pack("<I", 2) + b"{}plan", "metadata does not hold"),
    ],
)
def test_an_engine_file_that_is_not_what_it_should_be_is_refused(tmp_path, data, message):
    path = tmp_path / "a.engine"
    path.write_bytes(data)
    with pytest.raises(InvalidExport, match=message):
        read_metadata(path)


def test_the_metadata_of_an_engine_file_comes_back(exported: Path, tmp_path: Path):
    metadata = read_metadata(exported / "static.onnx")
    path = tmp_path / "a.engine"
    path.write_bytes(engine_header(metadata) + b"plan")
    assert read_metadata(path) == metadata


def test_metadata_that_claims_a_huge_input_is_refused(exported: Path):
    told = json.loads(read_metadata(exported / "static.onnx").model_dump_json())
    told["image_size"] = [1 << 40, 1 << 40]
    with pytest.raises(InvalidExport, match="pixels"):
        parse_metadata(json.dumps(told), "a")
    told["image_size"] = [96, 96]
    told["names"] = told["names"][:-1]
    with pytest.raises(InvalidExport, match="names"):
        parse_metadata(json.dumps(told), "a")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_pickle_in_a_torch_file_is_ever_read(exported: Path, tmp_path: Path):
    mark = tmp_path / "run"
    bomb = pickle.dumps(Bomb(mark))

    def plant(name: str, data: bytes) -> bytes:
        return bomb if name == "data/sample_inputs/model.pt" else data

    path = rezip(exported / "static.pt2", tmp_path / "a.pt2", plant)
    engine = open_engine(path)  # the pickle is left out, the rest is sound
    assert engine.run(engine.new_batch(1))["boxes"].shape[0] == 1

    def pickled(name: str, data: bytes) -> bytes:
        if name.endswith("model_weights_config.json"):
            listed = json.loads(data)
            next(iter(listed["config"].values()))["use_pickle"] = True
            return json.dumps(listed).encode()
        return bomb if name == "data/weights/weight_0" else data

    with pytest.raises(InvalidExport, match="pickle"):
        open_engine(rezip(exported / "static.pt2", tmp_path / "b.pt2", pickled))
    assert not mark.exists()


def edited(exported: Path, out: Path, change, file: str = "static.pt2") -> Path:
    """The file with its program changed in place by change(program)."""

    def edit(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        program = json.loads(data)
        change(program)
        return json.dumps(program).encode()

    return rezip(exported / file, out, edit)


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.higher_order.while_loop",
        "torch.ops.mkldnn._is_mkldnn_bf16_supported",
        "_operator.attrgetter",
        "#evil:op",
        "torch.load",
        "math.__loader__",
        None,
    ],
)
def test_an_operation_that_is_not_plain_is_refused(exported: Path, tmp_path: Path, target):
    def change(program) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(InvalidExport, match=r"operation|loop"):
        safe_archive(edited(exported, tmp_path / "a.pt2", change))


def test_python_in_a_torch_file_is_left_out_or_refused(exported: Path, tmp_path: Path):
    mark = tmp_path / "run"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def guard(program) -> None:
        program["guards_code"] = [code]

    open_engine(edited(exported, tmp_path / "a.pt2", guard))

    def name(program) -> None:
        program["graph_module"]["graph"]["nodes"][0]["name"] = f"a={code}\nb"

    def tree(program) -> None:
        call = program["graph_module"]["module_call_graph"][0]["signature"]
        call["in_spec"] = call["in_spec"].replace("builtins.tuple", "os.system")

    for place, change in enumerate((name, tree)):
        with pytest.raises(InvalidExport):
            safe_archive(edited(exported, tmp_path / f"{place}.pt2", change))
    assert not mark.exists()


def test_a_loop_that_might_never_end_is_refused(exported: Path, tmp_path: Path):
    safe_archive(exported / "found.pt2")

    def graphs(program) -> list:
        nodes = program["graph_module"]["graph"]["nodes"]
        (loop,) = [node for node in nodes if node["target"].endswith("while_loop")]
        return [given["arg"]["as_graph"]["graph"] for given in loop["inputs"][:2]]

    def forever(program) -> None:
        graphs(program)[0]["nodes"][0]["inputs"][1]["arg"]["as_int"] = 1 << 60

    def standing(program) -> None:
        body = graphs(program)[1]
        body["outputs"][0] = body["inputs"][0]

    def nested(program) -> None:
        graphs(program)[1]["nodes"][0]["target"] = "torch.ops.higher_order.while_loop"

    for place, change in enumerate((forever, standing, nested)):
        with pytest.raises(InvalidExport, match="loop"):
            safe_archive(edited(exported, tmp_path / f"{place}.pt2", change, "found.pt2"))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Pow(Integer(10), Pow(Integer(10), Integer(10)))",
        "Symbol('s1').__class__",
        "().__class__",
        "9" * 5000,
        "Integer(" * 60 + ")" * 60,
        "lambda: 0",
        "Symbol('evil')",
    ],
)
def test_an_expression_that_is_no_size_is_refused(text: str):
    with pytest.raises(InvalidExport, match="expression"):
        check_expression(text, "a")


def test_an_expression_of_sizes_passes():
    check_expression("Mul(Integer(32), Symbol('s39', positive=True, integer=True))", "a")


@pytest.mark.parametrize("sides", [[1 << 39], [1 << 20, 1 << 20], [0], [-4]])
def test_a_weight_that_claims_more_than_there_is_is_refused(sides: list[int]):
    meta = {
        "dtype": 7,
        "sizes": [{"as_int": side} for side in sides],
        "strides": [{"as_int": 0} for _ in sides],
        "storage_offset": {"as_int": 0},
    }
    listed = {"config": {"a": {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta}}}
    with pytest.raises(InvalidExport, match="weight"):
        check_payloads(listed, {"weight_0": 64}, "a")


def test_a_compressed_archive_is_refused(tmp_path: Path):
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/models/model.json", bytes(50 << 20))
    with pytest.raises(InvalidExport, match="compressed"):
        read_metadata(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/../../x", b"")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InvalidExport):
        read_metadata(path)


@pytest.mark.parametrize("name", ["static.onnx", "static.xml", "static.pt2"])
def test_a_damaged_file_is_an_error_or_another_answer_but_never_a_crash(
    exported: Path, tmp_path: Path, name: str
):
    whole = (exported / name).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / name
    path.with_suffix(".bin").write_bytes((exported / "static.bin").read_bytes())
    for turn in range(24):
        data = bytearray(whole)
        if turn % 3 == 0:
            data = data[: int(random.integers(len(data)))]
        else:
            for place in random.integers(len(data), size=8):
                data[place] = int(random.integers(256))
        path.write_bytes(data)
        try:
            read_metadata(path)
        except ScantlingError:
            continue


def test_cut_weights_are_refused(exported: Path, tmp_path: Path):
    path = tmp_path / "static.xml"
    path.write_bytes((exported / "static.xml").read_bytes())
    path.with_suffix(".bin").write_bytes((exported / "static.bin").read_bytes()[:-100])
    with pytest.raises(InvalidExport, match="cut short"):
        open_engine(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InvalidExport, match="no such file"):
        read_metadata(tmp_path / "missing.onnx")
    with pytest.raises(InvalidExport, match="suffix"):
        read_metadata(tmp_path / "a.weights")
