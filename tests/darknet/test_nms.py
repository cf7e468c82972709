"""The NMS of a cfg: darknet's own formula, wherever the model is run."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from scantling.checkpoints import Model, load_model
from scantling.cli import main
from scantling.cli.predict import PredictOptions, choose_selection, load_predictor
from scantling.darknet import build_cfg_network, read_cfg
from scantling.darknet.native import VARIANTS, native_cfg
from scantling.darknet.network import stored_tensors
from scantling.darknet.weights import WeightsHeader, write_weights
from scantling.engines.graphs.metadata import make_metadata
from scantling.evaluation import protocol_settings
from scantling.exporting import export
from scantling.inference import Predictor, load
from scantling.inference.loading import selection_of
from scantling.postprocess import Selection, select
from scantling.specs import CATALOG, CfgSpec, NmsSpec
from scantling.specs.metadata import GraphForm
from scantling.structures import Candidates

SMALL = """[net]
width=64
height=64
channels=3
[convolutional]
filters=14
size=1
stride=32
activation=linear
[yolo]
mask=0,1
num=2
anchors=10,14, 23,27
classes=2
nms_kind={}
beta_nms={}
"""
Box = tuple[float, float, float, float]  # centre x, centre y, width, height, as darknet has them


def bundled(name: str) -> CfgSpec:
    return read_cfg(str(files("scantling.darknet") / "cfg" / f"{name}.cfg"))


def iou(a: Box, b: Box) -> float:
    """box_iou of darknet's box.c."""
    width = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    height = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    shared = width * height if min(width, height) > 0 else 0.0
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def box_diounms(a: Box, b: Box, beta: float) -> float:
    """IoU − (d / c)^beta: d the squared distance of centres, c the squared diagonal of both."""
    width = max(a[0] + a[2] / 2, b[0] + b[2] / 2) - min(a[0] - a[2] / 2, b[0] - b[2] / 2)
    height = max(a[1] + a[3] / 2, b[1] + b[3] / 2) - min(a[1] - a[3] / 2, b[1] - b[3] / 2)
    c = width * width + height * height
    d = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    return iou(a, b) if c == 0 else iou(a, b) - (d / c) ** beta


def diounms_sort(
    boxes: list[Box], scores: np.ndarray, threshold: float, kind: str, beta: float
) -> set[tuple[int, int]]:
    """(box, class) of all that is left, one class and one box after the other."""
    left = set()
    for label in range(scores.shape[1]):
        chance = scores[:, label].astype(float)
        chance[chance <= 0.25] = 0  # `test` does so before NMS
        order = np.argsort(-chance, kind="stable").tolist()
        for place, i in enumerate(order):
            if chance[i] == 0:
                continue
            left.add((i, label))
            for j in order[place + 1 :]:
                exponent = beta if kind == "diounms" else 0.6  # greedynms: box_diou
                overlap = (
                    iou(boxes[i], boxes[j])
                    if kind == "default"
                    else box_diounms(boxes[i], boxes[j], exponent)
                )
                if overlap > threshold:
                    chance[j] = 0
    return left


def crowd(seed: int) -> tuple[list[Box], np.ndarray]:
    """Boxes of a few objects side by side, each found many times, of three classes."""
    rng = np.random.default_rng(seed)
    centres = 40 * rng.integers(0, 6, (150, 2)) / 2 + rng.normal(0, 6, (150, 2))
    boxes = np.concatenate([centres, rng.uniform(30, 60, (150, 2))], axis=1)
    scores = rng.permuted(np.tile(np.linspace(0, 1, 150), (3, 1)), axis=1).T
    return [tuple(box) for box in boxes.tolist()], scores.astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("spec", "kind", "beta"),
    [
        (bundled("yolov4-csp"), "diounms", 0.6),
        (bundled("yolov4"), "greedynms", 0.6),
        (CfgSpec(name="x", cfg="", image_size=32, num_classes=1), "default", 0.6),
        (bundled("yolov4-csp").replace(nms=NmsSpec(kind="diou", beta=0.3)), "diounms", 0.3),
    ],
    ids=["yolov4-csp.cfg", "yolov4.cfg", "no nms_kind", "beta_nms=0.3"],
)
def test_nms_of_a_cfg_equals_a_loop_with_darknets_formula(
    spec: CfgSpec, kind: str, beta: float, seed: int
):
    boxes, scores = crowd(seed)
    expected = diounms_sort(boxes, scores, 0.45, kind, beta)
    flat = np.array(boxes, np.float32)
    corners = np.concatenate([flat[:, :2] - flat[:, 2:] / 2, flat[:, :2] + flat[:, 2:] / 2], 1)
    chosen = Selection(nms=spec.nms.kind, beta=spec.nms.beta)
    (found,) = select(Candidates(corners[None], scores[None]), settings=chosen)
    place = {tuple(box): index for index, box in enumerate(corners.tolist())}
    ours = {
        (place[tuple(box)], label)
        for box, label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True)
    }
    assert ours == expected
    if kind != "default":  # the kinds do differ here
        assert ours != diounms_sort(boxes, scores, 0.45, "default", beta)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_run_as_its_cfg_says(name: str):
    spec = CATALOG[name]
    assert spec.nms == bundled(name).nms
    assert read_text(native_cfg(spec.replace(nms=NmsSpec()))).nms == NmsSpec()
    other = NmsSpec(kind="diou", beta=0.4)
    assert read_text(native_cfg(spec.replace(nms=other))).nms == other


def test_the_graphs_of_the_pytorch_code_go_by_the_iou():
    assert {spec.nms for name, spec in CATALOG.items() if name.endswith("-pt")} == {NmsSpec()}


def read_text(text: str) -> CfgSpec:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.cfg"
        path.write_text(text)
        return read_cfg(path)


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(SMALL.format("diounms", 0.7))
    network = build_cfg_network(read_cfg(path))
    write_weights(path.with_suffix(".weights"), stored_tensors(network), WeightsHeader())
    return path


def nms_of(predictor: Predictor) -> tuple[str, float]:
    return predictor.selection.nms, predictor.selection.beta


def test_load_takes_it_unless_another_is_asked_for(cfg: Path):
    assert nms_of(load(cfg, engine="torch")) == ("diou", 0.7)
    assert nms_of(load(cfg, engine="torch", selection={"min_score": 0.1})) == ("diou", 0.7)
    assert nms_of(load(cfg, engine="torch", selection={"nms": "greedy"})) == ("greedy", 0.7)
    assert nms_of(load(cfg, engine="torch", selection=Selection())) == ("greedy", 1.0)


def test_a_protocol_keeps_its_own_but_for_darknets(cfg: Path):
    def run_by(protocol: str) -> tuple[str, float]:
        return nms_of(load(cfg, engine="torch", selection=protocol_settings(protocol)))

    assert {run_by(name)[0] for name in ("coco", "voc07", "voc12")} == {"greedy"}
    assert run_by("darknet") == ("diou", 0.7)


def test_it_travels_with_an_exported_file(cfg: Path):
    model: Model = load_model(cfg)
    metadata = make_metadata(model)
    assert (selection_of(metadata, None).nms, selection_of(metadata, None).beta) == ("diou", 0.7)
    again = type(metadata).model_validate_json(metadata.model_dump_json())
    assert selection_of(again, {"min_score": 0.3}).nms == "diou"
    inside = make_metadata(model, form=GraphForm(gives="detections"))
    assert selection_of(inside, None).nms == "greedy"  # as the graph has it
    plain = model.spec.replace(nms=NmsSpec())
    other = Model(plain, model.network, model.names)
    assert make_metadata(other).fingerprint == metadata.fingerprint  # of the network alone


@pytest.mark.parametrize(
    "lines", ["dont_show cat\ndog\n", "dont_show\ndog\n", "dont_show\ndont_show\n"]
)
def test_a_class_that_is_not_to_be_shown_is_in_no_result(cfg: Path, lines: str):
    names = cfg.with_suffix(".names")
    names.write_text("cat\ndog\n")
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    selection = {"min_score": 0.001, "nms": "none"}
    all_of_it = load(cfg, engine="torch", names=names, selection=selection)(image)
    names.write_text(lines)
    predictor = load(cfg, engine="torch", names=names, selection=selection)
    found = predictor(image)
    assert len(predictor.names) == 2  # it counts as a class all the same
    shown = [label for label, line in enumerate(lines.split("\n")[:2]) if line == "dog"]
    kept = np.isin(all_of_it.labels, shown)
    assert 0 < len(all_of_it) > kept.sum()
    np.testing.assert_array_equal(found.boxes, all_of_it.boxes[kept])
    assert set(found.class_names) <= {"dog"}


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, ("diou", 0.7)), ({"nms": "greedy"}, ("greedy", 0.7))]
)
def test_predict_takes_it_too(cfg: Path, settings: dict[str, str], expected: tuple[str, float]):
    options = PredictOptions(sources=["x.jpg"], model=str(cfg), engine="torch", **settings)
    assert nms_of(load_predictor(options, choose_selection(options), many=False)) == expected


def test_info_shows_it(cfg: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(cfg)]) == 0
    assert "diou, beta 0.7" in capsys.readouterr().out


def test_nms_inside_a_graph_is_told_to_be_another(cfg: Path, tmp_path: Path, caplog):
    form = GraphForm(gives="detections")
    export(str(cfg), "onnx", out=tmp_path / "a.onnx", form=form, check=False)
    assert "NMS inside a graph is by the IoU alone; small is otherwise run with diou" in caplog.text
    caplog.clear()
    export(str(cfg), "onnx", out=tmp_path / "b.onnx", check=False)
    assert "NMS inside a graph" not in caplog.text
