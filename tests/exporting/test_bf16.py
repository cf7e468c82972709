"""Layers of a graph in bf16 can be given back to fp32, and are where bf16 costs too much."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from test_real_networks import photographs
from thin import build, thin

from scantling import create_model
from scantling.checkpoints import Model
from scantling.datasets.readers import read_dataset
from scantling.engines import EngineSettings, open_engine
from scantling.engines.graphs import make_metadata
from scantling.engines.graphs.bf16_openvino import quantizable_bf16
from scantling.engines.graphs.quantizable import QuantizableGraph
from scantling.engines.hardware import Processor, find_processor
from scantling.errors import ExportDiffers, InvalidValue
from scantling.evaluation import ApLost
from scantling.exporting import export, mixed_precision
from scantling.exporting.calibration import Calibrated, Images
from scantling.images.letterbox import resize_and_pad
from scantling.specs.metadata import Metadata
from scantling.verification.scenes import draw_scenes

pytestmark = pytest.mark.needs("openvino")

needs_bf16 = pytest.mark.skipif(
    not find_processor().has_bf16, reason="this processor has no arithmetic for bf16"
)


def silent(*_: object) -> None:
    """Where nobody listens."""


def prepare(name: str) -> tuple[Model, Metadata, QuantizableGraph]:
    """A thin variant, ready to have layers given back."""
    model = build(thin(name))
    metadata = make_metadata(model, precision="bf16", source=name)
    return model, metadata, quantizable_bf16(model, metadata)


def write(graph: QuantizableGraph, kept: tuple[str, ...], metadata: Metadata, path: Path) -> Path:
    """A file in which these layers are in fp32."""
    graph.write(frozenset(kept), Images((), metadata), metadata, path)
    return path


def convolutions(path: Path) -> list[str]:
    """What OpenVINO computes each convolution of a file in."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    told = [one.get_rt_info() for one in compiled.get_runtime_model().get_ops()]
    return [
        one["runtimePrecision"].astype(str)
        for one in told
        if one["layerType"].astype(str) == "Convolution"
    ]


def marked(path: Path) -> set[str]:
    """Types of the operations that are marked in a file."""
    layers = ET.parse(path).getroot().findall("layers/layer")
    return {
        layer.attrib["type"]
        for layer in layers
        if any("recision" in one.attrib["name"] for one in layer.findall("rt_info/attribute"))
    }


def test_a_layer_is_marked_with_what_is_computed_together_with_it(tmp_path: Path):
    _, metadata, graph = prepare("yolov4-csp")
    assert marked(write(graph, (), metadata, tmp_path / "none.xml")) == set()
    kept = graph.layers[:1]
    assert marked(write(graph, kept, metadata, tmp_path / "one.xml")) == {
        "Convolution",
        "Add",
        "Mish",
    }


@needs_bf16
@pytest.mark.parametrize("name", ["yolov4-csp", "yolov4-tiny"])
def test_each_layer_can_be_computed_in_fp32_among_others_in_bf16(name: str, tmp_path: Path):
    _, metadata, graph = prepare(name)
    before = convolutions(write(graph, (), metadata, tmp_path / "none.xml"))
    for layer in graph.layers[:: max(1, len(graph.layers) // 12)]:
        found = convolutions(write(graph, (layer,), metadata, tmp_path / f"{layer}.xml"))
        assert found.count("f32") == before.count("f32") + 1
    half = write(graph, graph.layers[::2], metadata, tmp_path / "half.xml")
    assert convolutions(half).count("f32") == before.count("f32") + len(graph.layers[::2])


@needs_bf16
def test_layers_that_openvino_cannot_mix_are_left_out(tmp_path: Path):
    # A thin one does not show it: OpenVINO then computes less of a BiFPN in one.
    model = create_model("efficientdet-d0")
    metadata = make_metadata(model, precision="bf16", image_size=(128, 128), source="d0")
    graph = quantizable_bf16(model, metadata)
    found = convolutions(write(graph, graph.layers, metadata, tmp_path / "d0.xml"))
    assert found.count("f32") == len(graph.layers) > 0.9 * len(found)


@needs_bf16
def test_a_file_with_layers_in_fp32_is_not_taken_for_that_without(tmp_path: Path):
    # OpenVINO keeps what it compiled, under a sum of the file: the marks have to count in it.
    _, metadata, graph = prepare("yolov4-csp")
    scene = resize_and_pad(
        draw_scenes(1)[0], metadata.image_size, resize_mode="stretch", pad_value=0
    )[0][None]
    found = []
    for kept in ((), graph.layers):
        path = write(graph, kept, metadata, tmp_path / "same-name.xml")
        engine = open_engine(path, EngineSettings(engine="openvino", cache=tmp_path))
        found.append(engine(scene).scores.copy())
        engine.close()
    assert (found[0] != found[1]).any()


def lost(before: float, after: float) -> ApLost:
    """In place of a comparison of metrics, of two AP."""
    return ApLost(before, before - after, float("nan"))


def test_layers_are_given_back_until_the_limit_holds(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
):
    _, metadata, graph = prepare("yolov4-tiny")
    data = read_dataset(photographs(assets, tmp_path / "all.yaml", first=0, step=1, count=40))
    paths = tuple(str(image.path) for image in data.images)
    told = iter([0.5, 0.4, 0.45, 0.499])  # in fp32, in bf16, with the worst layers in fp32, more
    monkeypatch.setattr(mixed_precision.Trials, "measure", lambda *_: next(told))
    monkeypatch.setattr("scantling.evaluation.compare_metrics", lost)
    calibrated = Calibrated("all", Images(paths, metadata), data)
    trials = mixed_precision.Trials(graph, metadata, calibrated, tmp_path / "a.xml", "openvino")
    outcome = mixed_precision.choose_fp32_layers(trials, max_ap_drop=0.003, progress=silent)
    assert outcome.ap_lost is not None
    assert outcome.ap_lost.lost == pytest.approx(0.001)
    assert len(outcome.fp32_layers) == 2  # a group of one layer, then two
    trials_told = [one for one in logged if one.startswith(("bf16:", "with "))]
    assert [one.split(" ")[0] for one in trials_told] == ["bf16:", "with", "with"]
    assert trials_told[0].endswith("of 0.5000, on 40 labelled images")


def test_data_is_refused_where_the_processor_has_no_bf16(monkeypatch: pytest.MonkeyPatch):
    old = Processor("old", "GenuineIntel", "x86_64", 2, frozenset({"avx2"}))
    monkeypatch.setattr("scantling.exporting.run.find_processor", lambda: old)
    with pytest.raises(InvalidValue, match="none on this processor"):
        export(build(thin("yolov4-tiny")), "openvino", precision="bf16", data="street.yaml")


@needs_bf16
def test_an_export_that_costs_too_much_leaves_no_file(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = photographs(assets, tmp_path / "all.yaml", first=0, step=1, count=40)
    monkeypatch.setattr(mixed_precision, "MOST", 0.1)
    target = tmp_path / "made" / "a.xml"
    target.parent.mkdir()
    model = build(thin("yolov4-tiny"))
    ap = iter([0.5, 0.4, 0.4, 0.4])
    monkeypatch.setattr(mixed_precision.Trials, "measure", lambda *_: next(ap))
    monkeypatch.setattr("scantling.evaluation.compare_metrics", lost)
    with pytest.raises(ExportDiffers, match="Use --precision fp32"):
        export(model, "openvino", out=target, precision="bf16", data=data)
    assert list(target.parent.iterdir()) == []
