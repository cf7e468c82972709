"""An analysis against a roofline, as tables and files; and the descriptions that it reads."""

import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.checkpoints import Model, save_model
from scantling.checkpoints.model import build_network
from scantling.darknet import read_cfg
from scantling.engines.graphs import make_metadata
from scantling.errors import InvalidExport, InvalidSpec, InvalidValue, ScantlingError, UnknownName
from scantling.scaling.analysis import (
    analyze,
    draw_figures,
    open_spec,
    save_analysis,
    summarise,
    to_csv,
)
from scantling.scaling.costs import Roofline, read_roofline
from scantling.specs import CATALOG, CfgSpec, ModelSpec
from scantling.specs.metadata import KEY

TINY = CATALOG["yolov4-tiny"].replace(image_size=96)


# -- roofline


def test_a_layer_is_bound_by_what_takes_it_longer():
    roofline = Roofline(1e9, 1e8)
    assert roofline.ridge == 10
    for layer in analyze(TINY, roofline=roofline).cost.layers:
        computing, moving = layer.macs / 1e9, layer.moved_bytes / 1e8
        assert roofline.seconds(layer) == max(computing, moving)
        assert roofline.bound(layer) == ("compute" if computing >= moving else "memory")
        assert roofline.reachable(layer.intensity) <= 1e9


def test_the_least_time_is_the_sum_over_the_layers():
    analysis = analyze(TINY, roofline=Roofline(1e9, 1e8))
    parts = [analysis.seconds(part) or 0.0 for part in analysis.cost.parts]
    assert sum(parts) == pytest.approx(analysis.seconds())
    totals = analysis.cost.totals
    assert analysis.seconds() >= max(totals.macs / 1e9, totals.moved_bytes / 1e8)
    assert analyze(TINY).seconds() is None


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_a_roof_comes_from_a_profile(tmp_path: Path):
    peak = {"macs_per_second": 2e12, "bytes_per_second": 5e10, "precision": "fp32"}
    path = write(tmp_path / "box.json", {"peak": peak, "more": 1})
    roofline = read_roofline(path, precision="fp32")
    assert roofline == Roofline(2e12, 5e10, name="box", precision="fp32")
    both = write(tmp_path / "both.json", {"peak": [peak, {**peak, "precision": "int8"}]})
    assert read_roofline(both, precision="int8").precision == "int8"
    with pytest.raises(InvalidValue, match="fp32"):
        read_roofline(path, precision="int8")
    with pytest.raises(InvalidValue, match="box was measured"):
        analyze(TINY, precision="bf16", roofline=roofline)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"peak": 3},
        {"peak": {"macs_per_second": 1}},
        {"peak": {"macs_per_second": True, "bytes_per_second": 1}},
        {"peak": {"macs_per_second": 0, "bytes_per_second": 1}},
        {"peak": {"macs_per_second": float("nan"), "bytes_per_second": 1}},
        {"peak": {"macs_per_second": "fast", "bytes_per_second": 1}},
    ],
)
def test_a_profile_without_a_roof_is_refused(content: object, tmp_path: Path):
    with pytest.raises(InvalidValue):
        read_roofline(write(tmp_path / "box.json", content))


# -- tables and files


def test_csv_and_json_hold_every_layer_in_plain_units():
    analysis = analyze(TINY, roofline=Roofline(1e12, 25e9))
    facts = json.loads(json.dumps(summarise(analysis)))
    rows = list(csv.DictReader(io.StringIO(to_csv(analysis))))
    assert len(rows) == len(facts["layers"]) == len(analysis.cost.layers)
    assert sum(int(row["macs"]) for row in rows) == facts["macs"] == analysis.cost.totals.macs
    assert sum(part["parameters"] for part in facts["parts"]) == facts["parameters"] == 6_056_606
    assert rows[0]["shape"] == "1x32x48x48"
    assert rows[0]["inputs"] == "1x3x96x96"
    assert sum(float(row["least_seconds"]) for row in rows) == pytest.approx(facts["least_seconds"])
    assert facts["findings"]


def test_a_report_holds_the_page_the_figures_and_the_layers(tmp_path: Path):
    analysis = analyze(TINY.replace(name="<b>$x$"), roofline=Roofline(1e12, 25e9, name="a & b"))
    page = save_analysis(analysis, tmp_path / "new")
    assert {path.name for path in page.parent.iterdir()} == {
        *("report.html", "roofline.png", "parts.png", "memory.png"),
        *("layers.csv", "summary.json", ".scantling-output"),
    }
    text = page.read_text("utf-8")
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    for name in ("roofline", "parts", "memory"):
        picture = cv2.imread(str(page.parent / f"{name}.png"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    again = save_analysis(analysis, tmp_path / "new")
    assert again.name == "report-2.html"


def test_a_cfg_is_drawn_by_its_strides(assets: Path):
    spec = read_cfg(assets / "cfg" / "yolov4-tiny.cfg")
    figures = draw_figures(analyze(spec))
    assert list(figures) == ["parts", "memory"]
    groups = {part.group for part in analyze(spec).cost.parts}
    assert groups == {"stride 2", "stride 4", "stride 8", "stride 16", "stride 32"}


# -- descriptions


def test_a_spec_is_read_from_whatever_holds_one(assets: Path, tmp_path: Path):
    assert open_spec("yolov4-p6") == CATALOG["yolov4-p6"]
    assert isinstance(open_spec(assets / "cfg" / "yolov4-tiny.cfg"), CfgSpec)
    mine = TINY.replace(name="mine", num_classes=3)
    names = ("a", "b", "c")
    model = Model(mine, build_network(mine).eval(), names)
    save_model(model, tmp_path / "mine.safetensors")
    assert open_spec(tmp_path / "mine.safetensors") == mine
    assert open_spec("yolov4-tiny", weights=tmp_path / "mine.safetensors").num_classes == 3
    plain = mine.model_dump(mode="json")
    for name, content in (("fit.json", plain), ("wrapped.json", {"spec": plain, "why": []})):
        assert open_spec(write(tmp_path / name, content)) == mine


def test_the_spec_of_an_exported_file_is_that_of_its_metadata(tmp_path: Path):
    names = tuple(f"class{label}" for label in range(80))
    metadata = make_metadata(Model(TINY, build_network(TINY).eval(), names), source="yolov4-tiny")
    import onnx

    value = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["images"], ["boxes"])
    out = onnx.helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, [1])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [out]))
    onnx.helper.set_model_props(model, {KEY: metadata.model_dump_json()})
    onnx.save(model, tmp_path / "tiny.onnx")
    assert open_spec(tmp_path / "tiny.onnx") == TINY
    with pytest.raises(InvalidExport):
        open_spec(tmp_path / "absent.onnx")


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": 3},
        {"extra": 1},
        {"image_size": [1 << 20, 1 << 20]},
        {"num_classes": 10**12},
        {"head": None},
    ],
)
def test_a_json_that_describes_no_network_is_refused(change: dict[str, object], tmp_path: Path):
    content = {**TINY.model_dump(mode="json"), **change}
    with pytest.raises(ScantlingError):
        open_spec(write(tmp_path / "fit.json", content))


@pytest.mark.parametrize(
    ("where", "value"),
    [("depth", 10**9), ("channels", 10**15), ("channels", 7), ("kind", "csp-nothing")],
)
def test_a_json_that_would_never_be_built_is_refused(where: str, value: object, tmp_path: Path):
    content = TINY.model_dump(mode="json")
    content["backbone"]["stages"][1][where] = value
    if (where, value) == ("channels", 7):
        content["backbone"]["stages"][1] |= {"kind": "csp-resnext", "groups": 32}
    with pytest.raises(ScantlingError):
        open_spec(write(tmp_path / "fit.json", content))


def test_files_that_hold_no_description_are_refused(tmp_path: Path):
    with pytest.raises(UnknownName, match="yolov4-tiny"):
        open_spec("yolov4-tini")
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    for path in ("absent.json", "deep.json", write(tmp_path / "list.json", [1]).name):
        with pytest.raises(InvalidSpec, match=path):
            open_spec(tmp_path / path)
    with pytest.raises(InvalidExport, match="absent"):
        open_spec(tmp_path / "absent.onnx")


def test_a_spec_survives_the_way_through_json(tmp_path: Path):
    for name in ("yolov4-p7", "efficientdet-d7x", "yolov4-csresnext50"):
        path = write(tmp_path / f"{name}.json", CATALOG[name].model_dump(mode="json"))
        assert isinstance(open_spec(path), ModelSpec)
        assert open_spec(path) == CATALOG[name]
