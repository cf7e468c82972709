"""Exported files from anybody: refused with a message, without running or swallowing anything."""

import json
import struct
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from scantling.checkpoints import load_model
from scantling.engines import open_engine, read_metadata
from scantling.engines.files import parse_metadata
from scantling.engines.formats import onnx as formats
from scantling.engines.formats.tensorrt import MAGIC, engine_header
from scantling.errors import InvalidExport, ScantlingError
from scantling.inference import load
from scantling.specs import CATALOG
from scantling.specs.metadata import GraphForm, Metadata

IR = (
    '<?xml version="1.0"?>\n<net name="a" version="11">'
    "<layers>{}</layers><rt_info>{}</rt_info></net>"
)
LAYER = '<layer id="0" name="a" type="Parameter" version="opset1"></layer>'


HIDDEN = 1 << 32  # in a tag: protocol buffers in C++ drop this bit, and read the field behind it


def field(number: int, value: bytes | int, hidden: int = 0) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3 | hidden) + varint(value)
    return varint(number << 3 | 2 | hidden) + varint(len(value)) + value


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x00" * 1000, "no ONNX"),
        (b"hello world, I am no model", "no ONNX"),
        (onnx()[:-3], "ends too early|no ONNX"),
        (field(7, b"") + b"\x72\xff\xff\xff\xff\x07", "ends too early"),
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
        # what another reader of protocol buffers would take otherwise
        (onnx(field(4, b"Loop", HIDDEN)), "beyond its width"),
        (onnx(field(5, field(6, b"", HIDDEN))), "beyond its width"),
        (field(7, field(5, field(13, b"other.bin", HIDDEN))), "beyond its width"),
        (field(7, field(5, field(14, 1, HIDDEN))), "beyond its width"),
        (onnx(extra=field(25, b"", HIDDEN)), "beyond its width"),
        (field(7, field(1, b"\xa2\x80\x80\x80\x80\x00" + b"\x04Loop")), "no ONNX"),  # six bytes
        (field(7, field(1, b"\x22\x84\x80\x80\x80\x80\x00Loop")), "no ONNX"),
        (field(7, b"") + field(1, 1 << 64), "beyond its width"),
        (onnx(field(29, b"Loop")), "field 29"),
        (onnx(field(4, 5)), "field 4 of kind 0"),
        (onnx(b"\x23\x22\x04Loop\x24"), "field 4 of kind 3"),  # a group around it
        (onnx(field(4, b"Relu") + field(4, b"Relu")), "field 4 twice"),
        (onnx(field(5, field(5, b"") * 2)), "claims|twice"),
        (onnx(extra=field(7, b"")), "field 7 twice"),
        (onnx(extra=field(14, field(1, b"scantling") + field(2, b"{}"))), "twice"),
        (onnx(field(5, field(22, field(1, field(13, b"x"))))), "sparse"),
        (onnx(field(5, field(23, b""))), "sparse"),
        (onnx(field(4, b"EPContext") + field(7, b"com.microsoft")), "another file: EPContext"),
    ],
)
def test_an_onnx_file_that_is_not_what_it_should_be_is_refused(tmp_path: Path, data, message):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidExport, match=message):
        read_metadata(path)


def test_an_onnx_file_of_endless_small_fields_is_refused_soon(tmp_path: Path):
    path = tmp_path / "a.onnx"
    path.write_bytes(field(7, field(1, b"\x0a\x00" * 1_100_000)))
    with pytest.raises(InvalidExport, match="more than 1,000,000 fields"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("head", "layers", "info", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "ha">]>', LAYER, "", "document type"),
        ("", LAYER.replace("Parameter", "Loop"), "", "Loop"),
        ("", LAYER.replace("Parameter", "TensorIterator"), "", "TensorIterator"),
        ("", LAYER.replace("Parameter", "LOOP"), "", "LOOP"),  # OpenVINO takes it for Loop
        ("", LAYER.replace("Parameter", "&#76;oop"), "", "Loop"),
        ("", LAYER.replace("></layer>", "><then_body/></layer>"), "", "within an operation"),
        ("", LAYER + "</layers><layers>", "", "'layers' twice"),
        ("", LAYER, '<scantling value="{}"/><scantling value="[]"/>', "says twice"),
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


@pytest.mark.parametrize("encoding", ["latin1", "UTF-16", "utf-7", "x\x1b"])
def test_an_openvino_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str):
    path = ir(tmp_path)
    text = path.read_text("utf-8").replace('"1.0"', f'"1.0" encoding="{encoding}"')
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidExport, match=r"not in UTF-8|not XML") as raised:
        read_metadata(path)
    assert "\x1b" not in str(raised.value)
    path.write_text(text.replace(encoding, "utf-8"), "utf-8")
    with pytest.raises(InvalidExport, match="says nothing"):
        read_metadata(path)


@pytest.mark.parametrize("version", ['version="9"', "", 'version="11 "'])
def test_an_openvino_file_of_an_unknown_version_is_refused(tmp_path: Path, version: str):
    path = ir(tmp_path)
    path.write_text(path.read_text("utf-8").replace('version="11"', version), "utf-8")
    with pytest.raises(InvalidExport, match="of a version that is known"):
        read_metadata(path)


def test_openvino_takes_an_operation_in_capitals_for_the_same(exported: Path, tmp_path: Path):
    """The reason why names of control flow are refused in any case."""
    openvino = pytest.importorskip("openvino")
    text = (exported / "static.xml").read_text("utf-8")
    (tmp_path / "a.xml").write_text(text.replace('type="Convolution"', 'type="CONVOLUTION"'))
    (tmp_path / "a.bin").write_bytes((exported / "static.bin").read_bytes())
    kinds = [
        one.get_type_name() for one in openvino.Core().read_model(tmp_path / "a.xml").get_ops()
    ]
    assert "Convolution" in kinds


def test_the_fields_that_onnx_has_are_known_as_it_has_them():
    onnx = pytest.importorskip("onnx")
    kinds = {f"TYPE_{name}": 0 for name in ("INT64", "INT32", "UINT64", "ENUM")}
    kinds |= {"TYPE_DOUBLE": 1, "TYPE_FLOAT": 5}
    for message, fields in {
        onnx.ModelProto: formats.MODEL,
        onnx.GraphProto: formats.GRAPH,
        onnx.NodeProto: formats.NODE,
        onnx.AttributeProto: formats.ATTRIBUTE,
        onnx.TensorProto: formats.TENSOR,
        onnx.StringStringEntryProto: formats.ENTRY,
        onnx.OperatorSetIdProto: formats.OPERATORS,
    }.items():
        theirs = message.DESCRIPTOR.fields_by_number
        for number, known in fields.items():
            one = theirs[number]
            repeated = getattr(one, "is_repeated", None)  # of protobuf 7, where label is no more
            if repeated is None:
                repeated = one.label == one.LABEL_REPEATED
            many = formats.MANY if repeated else 0
            kind = next((k for name, k in kinds.items() if one.type == getattr(one, name)), 2)
            assert known == kind | many, (message.__name__, number)


def test_a_thousand_million_laughs_are_not_laughed(tmp_path: Path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    with pytest.raises(InvalidExport, match="document type"):
        read_metadata(ir(tmp_path, LAYER, "&e11;", f"<!DOCTYPE net [{entities}]>"))


def test_an_openvino_file_of_one_endless_element_is_refused_soon(tmp_path: Path):
    with pytest.raises(InvalidExport, match="more than 16,777,216 bytes"):
        read_metadata(ir(tmp_path, f'<layer type="{"&quot;a" * 4_000_000}'))
    start = process_time()
    with pytest.raises(InvalidExport, match="not XML"):
        read_metadata(ir(tmp_path, f'<layer type="{"&quot;a" * 1_000_000}'))
    assert process_time() - start < 1  # read in small pieces, each from its beginning: 12 s


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
    with pytest.raises(InvalidExport, match=r"pixels|less than or equal to 16384"):
        parse_metadata(json.dumps(told), "a")
    told["image_size"] = [96, 96]
    told["names"] = told["names"][:-1]
    with pytest.raises(InvalidExport, match="names"):
        parse_metadata(json.dumps(told), "a")


def metadata_of(name: str, gives: str) -> dict[str, Any]:
    """Metadata of a variant, as its file holds it."""
    spec = CATALOG[name]
    metadata = Metadata(
        kind="model",
        spec=spec,
        names=tuple(map(str, range(spec.num_classes))),
        form=GraphForm(gives=gives),
        image_size=spec.image_size,
        size_divisor=spec.size_step,
        levels=spec.levels,
        source=name,
        fingerprint="0" * 64,
        producer="a test",
    )
    return json.loads(metadata.model_dump_json())


@pytest.mark.parametrize("gives", ["raw", "candidates", "detections"])
@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("yolov4-tiny", "foo"),
        ("yolov4-tiny", "offset"),
        ("yolov4-csp", "Sigmoid"),
        ("efficientdet-d0", "exponential"),
    ],
)
def test_metadata_with_a_box_coding_that_its_head_does_not_have_is_refused(name, coding, gives):
    told = metadata_of(name, gives)
    assert parse_metadata(json.dumps(told), "a").levels == CATALOG[name].levels
    told["levels"][-1]["box_coding"] = coding
    with pytest.raises(InvalidExport, match=f"is '{coding}'. Expected '"):
        parse_metadata(json.dumps(told), "a")


def test_raw_predictions_of_an_unknown_head_are_refused():
    told = metadata_of("yolov4-tiny", "raw")
    told["spec"]["head"]["kind"] = "yol\x1bo"
    with pytest.raises(InvalidExport, match="Known: efficientdet, yolo") as raised:
        parse_metadata(json.dumps(told), "a")
    assert "\x1b" not in str(raised.value)
    told["form"]["gives"] = "candidates"  # its decoder is inside the graph
    assert parse_metadata(json.dumps(told), "a").spec.head_kind == "yol\x1bo"


@pytest.mark.parametrize("name", ["static.onnx", "static.xml"])
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


def test_a_torch_program_is_refused_and_says_what_to_use(tmp_path: Path):
    path = tmp_path / "a.pt2"
    path.write_bytes(b"PK")
    for reader in (read_metadata, open_engine, load, load_model):
        with pytest.raises(ScantlingError, match=r"Use the checkpoint that it was made from"):
            reader(path)
