"""The worked examples of docs/extend.md: each is registered by one line, then used."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelled import make_dataset, write_picture
from scantling.blocks import STAGES, fuse_norms
from scantling.checkpoints import Model, load_model
from scantling.cli import main
from scantling.datasets.findings import Problems
from scantling.datasets.readers import READERS, read_dataset
from scantling.datasets.readers.files import read_file_header
from scantling.detector import build_detector
from scantling.engines import ENGINES, FORMATS, EngineSettings, open_engine, read_metadata
from scantling.errors import InvalidValue
from scantling.evaluation import DetectionTable, compute_metrics, make_ground_truth
from scantling.exporting import export
from scantling.images import Frame
from scantling.inference.outputs import WRITERS, Outputs
from scantling.specs import CATALOG
from scantling.specs.metadata import GraphForm
from scantling.structures import Detections
from small_models import write_model

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "extend"))
from counts import CountsWriter
from ghost_stage import GhostStage
from labelme import LABELME
from max_f1 import MAX_F1
from npz_format import NPZ
from opencv_engine import OPENCV

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "extend").glob("*.py"))
PAGE = ROOT / "docs" / "extend.md"
FAST = ("--seconds", "0.1", "--set", "trials=1", "--set", "isolated=false")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_on_the_page(example: Path):
    assert f"extend/{example.name}" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("page", ["architecture.md", "extend.md"])
def test_every_place_that_a_page_names_is_there(page: str):
    words = re.split(r"[\s`|(),→├└─│]+", (ROOT / "docs" / page).read_text("utf-8"))
    paths = [word for word in words if re.fullmatch(r"[\w/.]+/[\w/]*\w\.(py|md)", word)]
    folders = (ROOT, ROOT / "src" / "scantling", ROOT / "docs")
    missing = [one for one in paths if not any((folder / one).exists() for folder in folders)]
    assert paths
    assert not missing


def rows_of(page: Path) -> dict[str, set[tuple[str, str]]]:
    """What a table of a page says of each thing to add: names, and the files that they are in."""
    rows = [line.split("|") for line in page.read_text("utf-8").splitlines() if line[:2] == "| "]
    found = {}
    for first, *cells in (row[1:] for row in rows):
        places = re.findall(r"((?:`[A-Z_]+`(?:, )?)+) in `([\w/.]+\.py)`", "|".join(cells))
        found[first.strip()] = {
            (name, path) for names, path in places for name in re.findall(r"[A-Z_]+", names)
        }
    return found


def test_an_example_names_every_place_that_contributing_does():
    contributing, examples = rows_of(ROOT / "CONTRIBUTING.md"), rows_of(PAGE)
    assert len(examples) > len(EXAMPLES)
    for thing, places in examples.items():
        if thing not in ("to add", "---"):
            assert contributing[thing] == places, thing
    for name, path in set().union(*contributing.values(), *examples.values()):
        text = (ROOT / "src" / "scantling" / path).read_text("utf-8")
        assert re.search(rf"^{name}\b.* = ", text, re.MULTILINE), f"{name} in {path}"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(write_model(tmp_path / "model.safetensors"))


def test_a_block_is_a_stage_of_a_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(STAGES, "ghost", GhostStage)
    tiny = CATALOG["yolov4-tiny"]
    stages = tuple(
        stage.replace(kind="ghost", channels=16, stride=2, depth=1)
        for stage in tiny.backbone.stages
    )
    spec = tiny.replace(
        backbone=tiny.backbone.replace(stem_channels=8, stem_stride=1, stages=stages),
        neck=tiny.neck.replace(channels=(16, 16)),
        image_size=128,
    )
    network = build_detector(spec)
    images = torch.rand(2, 3, 128, 128)
    sum(level.square().mean() for level in network(images)).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.backbone.parameters())
    network.eval()
    expected = network(images)
    fuse_norms(network)
    for one, folded in zip(expected, network(images), strict=True):
        torch.testing.assert_close(folded, one, rtol=1e-3, atol=1e-4)


def test_a_data_format_is_read_with_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(READERS, "labelme", LABELME)
    write_picture(tmp_path / "a.jpg")
    shapes = [
        {"label": "dog", "shape_type": "rectangle", "points": [[60, 40], [20, 10]]},
        {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 5]]},
        {"label": "dog", "shape_type": "rectangle", "points": [[5, 5], [5, 9]]},
    ]
    document = {"imagePath": "a.jpg", "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(document))
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.split, dataset.names) == ("labelme", "all", ("dog",))
    assert dataset.objects.boxes.tolist() == [[20, 10, 60, 40]]
    assert {finding.code for finding in dataset.findings} == {"E201", "E207"}


DEEP = "[" * 100_000
STRANGE = {
    "no object": '["shapes"]',
    "no JSON": '{"shapes": [',
    "deep": f'{{"shapes": {DEEP}',
    "no shapes": '{"shapes": 3, "imagePath": "b.jpg"}',
    "no image": '{"shapes": []}',
    "no name": '{"shapes": [], "imagePath": "b\\u0000.jpg"}',
    "a folder": '{"shapes": [], "imagePath": ""}',
    "half a letter": '{"shapes": [], "imagePath": "\\ud800.jpg"}',
    "twice": '{"shapes": [], "imagePath": "../here/a.jpg"}',
    "shape": '{"shapes": [null, 1, [], {}], "imagePath": "b.jpg"}',
}
BAD_SHAPES = [
    {"points": [[1, 1], [5, 5]]},
    {"label": 3, "points": [[1, 1], [5, 5]]},
    {"label": " ", "points": [[1, 1], [5, 5]]},
    {"label": "dog"},
    {"label": "dog", "points": "1155"},
    {"label": "dog", "points": [["a", "b"], ["c", "d"]]},
    {"label": "dog", "points": [[1], [5, 5]]},
    {"label": "dog", "points": [[1, 1], [10**400, 5]]},
    {"label": "dog", "points": [[1, 1], [float("nan"), 5]]},
]


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_a_strange_file_or_shape_is_a_finding_of_a_reader(text: str, tmp_path: Path):
    folder = tmp_path / "here"
    folder.mkdir()
    write_picture(folder / "a.jpg")
    good = {"label": " dog", "shape_type": "rectangle", "points": [[60, 40], [20, 10]]}
    shapes = [good, *({"shape_type": "rectangle", **one} for one in BAD_SHAPES)]
    (folder / "a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": shapes}))
    (folder / "b.json").write_text(text)
    problems = Problems()
    dataset = LABELME.read(folder, "all", problems=problems, reader=read_file_header)
    assert dataset.objects.boxes.tolist() == [[20, 10, 60, 40]]
    assert sum(one.file.name == "a.json" for one in dataset.findings) == len(BAD_SHAPES)
    assert any(one.file.name != "a.json" for one in dataset.findings)


def test_a_reader_looks_at_the_front_of_one_regular_file(tmp_path: Path):
    assert not LABELME.fits(tmp_path)
    (tmp_path / "b.json").write_text('{"shapes": []}')
    assert LABELME.fits(tmp_path)
    (tmp_path / "a.json").write_text(" " * 2**17 + '{"shapes": []}')
    assert not LABELME.fits(tmp_path)
    (tmp_path / "a.json").unlink()
    os.mkfifo(tmp_path / "a.json")
    assert not LABELME.fits(tmp_path)


def test_a_protocol_is_computed_beside_the_curves(tmp_path: Path):
    data = make_dataset(tmp_path, [(0, 0, (10, 10, 30, 30)), (1, 1, (5, 5, 25, 45))])
    truth = make_ground_truth(data)
    found = DetectionTable(
        boxes=np.array([[10.0, 10, 20, 20], [60, 40, 10, 10], [5, 5, 20, 40]]),
        scores=np.array([0.9, 0.8, 0.7]),
        labels=np.array([0, 0, 1]),
        image_index=np.array([0, 0, 1]),
    )
    metrics = compute_metrics(truth, found, MAX_F1)
    assert metrics.stats == {"max F1": 1.0}  # of cats from 0.9 on, of dogs from 0.7
    assert metrics.result.class_stats()[1] == [(1.0, 0.9), (1.0, 0.7)]
    missed = compute_metrics(truth, replace(found, labels=np.array([1, 0, 1])), MAX_F1)
    assert missed.stats["max F1"] == pytest.approx((0 + 2 / 3) / 2)


def test_an_export_format_is_written_and_says_that_nothing_runs_it(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
):
    monkeypatch.setitem(FORMATS, "npz", NPZ)
    exported = export(model, "npz", out=tmp_path / "model.npz")
    assert exported.verification is None
    assert any("no engine here runs .npz files" in line for line in logged)
    assert read_metadata(exported.path) == exported.metadata
    with np.load(exported.path) as arrays:
        for name, tensor in model.network.state_dict().items():
            assert np.array_equal(arrays[name], tensor.numpy())


@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
def test_an_engine_gives_what_another_one_gives(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ENGINES, "opencv", OPENCV)
    onnx = FORMATS["onnx"]
    monkeypatch.setitem(FORMATS, "onnx", replace(onnx, engines=(*onnx.engines, "opencv")))
    form = GraphForm(takes="float", gives="raw")
    path = export(model, "onnx", out=tmp_path / "raw.onnx", form=form).path
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    found, expected = (
        open_engine(path, EngineSettings(engine=name))(images) for name in ("opencv", "onnxruntime")
    )
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    write_picture(tmp_path / "a.jpg")
    for words in (["predict", str(tmp_path / "a.jpg"), "--model"], ["benchmark", *FAST]):
        assert main([*words, str(path), "--engine", "opencv", "--json"]) == 0
    whole = export(model, "onnx", out=tmp_path / "whole.onnx").path
    with pytest.raises(InvalidValue, match="float to raw for the engine opencv"):
        open_engine(whole, EngineSettings(engine="opencv"))


def test_an_output_gets_every_frame_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(WRITERS, "counts", CountsWriter)
    image = np.zeros((40, 60, 3), np.uint8)
    found = Detections(
        boxes=np.array([[0, 0, 9, 9], [9, 9, 30, 30]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        labels=np.array([1, 1]),
        names=("cat", "dog"),
        image_size=(40, 60),
    )
    with Outputs(["counts"], tmp_path / "out") as outputs:
        outputs.write(Frame("a.jpg", image), found)
        outputs.write(Frame("broken.jpg", problem="no image"), None)
        outputs.write(Frame("b.jpg", image), found[:0])
    rows = (tmp_path / "out" / "counts.csv").read_text("utf-8").splitlines()
    assert rows == ["source,frame,cat,dog", "a.jpg,0,0,2", "b.jpg,0,0,0"]
