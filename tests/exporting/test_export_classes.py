"""Classes and their thresholds in an exported file: `predict` obeys, and so does NMS inside."""

import json
from pathlib import Path

import numpy as np
import pytest
from thin import build, thin

import scantling
from scantling.checkpoints import Model
from scantling.cli import main
from scantling.engines import EngineSettings, open_engine, read_metadata
from scantling.engines.graphs import make_metadata
from scantling.errors import InvalidValue, UnknownName
from scantling.exporting import FORMATS, export
from scantling.inference.predictor import Predictor
from scantling.postprocess import Selection
from scantling.specs.metadata import GraphForm, Precision
from scantling.verification import verify
from scantling.verification.boxes import ReferenceEngine
from scantling.verification.reference import open_reference
from scantling.verification.scenes import draw_scenes

CLASSES, SCORES = ("thing2", 0), {"thing2": 0.07, "thing1": 0.05}  # the first alone, the other none
MIN_SCORE = 0.1
SELECTION = Selection(min_score=MIN_SCORE, classes=CLASSES, class_scores=SCORES)

pytestmark = pytest.mark.needs("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def small() -> Model:
    return build(thin("yolov4-tiny"))


@pytest.fixture(scope="module")
def expected(small: Model) -> list[scantling.Detections]:
    """What the model finds with that selection in drawn scenes, by torch."""
    spec = small.spec
    reference = open_reference(small, make_metadata(small), Path("x"), load=None, device="cpu")
    engine = ReferenceEngine(reference, spec.image_size)
    predictor = Predictor(engine, small.names, input_spec=spec.input, selection=SELECTION)
    return list(map(predictor, draw_scenes(3)))


@pytest.mark.parametrize(
    ("to", "gives", "precision"),
    [
        ("onnx", "candidates", "fp32"),
        ("onnx", "detections", "fp32"),
        ("onnx", "detections", "fp16"),
        ("openvino", "candidates", "fp32"),
        ("openvino", "detections", "fp32"),
        ("openvino", "detections", "fp16"),
    ],
)
def test_a_file_keeps_the_classes_and_thresholds_that_it_was_exported_with(
    to: str,
    gives: str,
    precision: Precision,
    small: Model,
    expected: list[scantling.Detections],
    tmp_path: Path,
):
    out = tmp_path / f"a{FORMATS[to].suffix}"
    form = GraphForm(gives=gives)
    settings = {"min_score": MIN_SCORE, "classes": CLASSES, "class_scores": SCORES}
    exported = export(small, to, out=out, form=form, precision=precision, **settings)
    assert exported.verification is not None
    assert any("thing2 0.07, thing1 0.05" in one for one in exported.verification.notes)
    metadata = read_metadata(out)
    assert (metadata.classes, metadata.class_scores) == ((2, 0), {2: 0.07, 1: 0.05})
    with scantling.load(out, device="cpu", precision="fp32") as predictor:
        found = [predictor(scene) for scene in draw_scenes(3)]
    labels = np.concatenate([one.labels for one in found])
    assert set(labels.tolist()) == {0, 2}
    if precision == "fp32":
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.labels.tolist() == theirs.labels.tolist()
            np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)


def test_what_is_inside_a_graph_needs_nothing_of_ours(small: Model, tmp_path: Path):
    out = tmp_path / "a.onnx"
    settings = {"min_score": 0.01, "classes": CLASSES, "class_scores": SCORES}
    export(small, "onnx", out=out, form=GraphForm(gives="detections"), check=False, **settings)
    engine = open_engine(out, EngineSettings(device="cpu", engine="onnxruntime"))
    height, width = engine.image_size
    rows = engine.run(draw_scenes(1)[0][None, :height, :width])["detections"]
    engine.close()
    found = rows[rows[..., 4] > 0]
    assert set(found[:, 5].tolist()) == {0, 2}
    assert found[found[:, 5] == 2, 4].min() > SCORES["thing2"]
    assert found[found[:, 5] == 0, 4].min() < SCORES["thing2"]


@pytest.mark.parametrize(
    ("inside", "said", "evidence"),
    [
        ({"classes": (1,)}, {"classes": (0,)}, ""),
        ({}, {"class_scores": {0: 0.1, 1: 0.1}}, "all classes have one threshold"),
        ({}, {"classes": (1,)}, "it gives every class"),
    ],
)
def test_verify_sees_that_a_graph_keeps_others_than_its_metadata_says(
    inside, said, evidence: str, small: Model, tmp_path: Path
):
    whole = make_metadata(small, form=GraphForm(gives="detections"), min_score=0.03)
    right = whole.replace(**inside)
    out = tmp_path / "a.onnx"
    FORMATS["onnx"].write(small, right, out)
    import onnx

    made = onnx.load(out)
    for prop in made.metadata_props:
        if prop.key == "scantling":
            prop.value = whole.replace(**said).model_dump_json()
    onnx.save(made, out)
    found = verify(out, against=small)
    assert not found.passed
    assert evidence in found.describe_failure()


def test_lower_thresholds_than_those_inside_are_warned_of(
    small: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    out = tmp_path / "a.onnx"
    settings = {"class_scores": {"thing1": 0.5}, "classes": [0, 1]}
    export(small, "onnx", out=out, form=GraphForm(gives="detections"), check=False, **settings)
    caplog.clear()
    scantling.load(out, device="cpu").close()
    scantling.load(out, device="cpu", selection={"min_score": 0.4}).close()
    assert "brings nothing back" not in caplog.text
    assert "bring nothing back" not in caplog.text
    scantling.load(out, device="cpu", selection={"classes": None, "class_scores": {1: 0.3}}).close()
    assert "bring nothing back of thing1, thing2" in caplog.text


def test_the_command_takes_both_and_info_tells_of_them(
    small: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from scantling.checkpoints import save_model

    save_model(small, tmp_path / "small.safetensors")
    out = tmp_path / "a.onnx"
    words = ["export", str(tmp_path / "small.safetensors"), "--to", "onnx", "--out", str(out)]
    told = ["--set", "classes=thing0,2", "--set", "class_scores=thing0=0.5", "--set", "check=false"]
    assert main([*words, *told, "--json"]) == 0
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    thresholds = json.loads(capsys.readouterr().out)["thresholds"]
    assert thresholds[-2:] == ["only thing0, thing2", "thing0 0.5"]
    assert main([*words[:-1], str(tmp_path / "b.onnx"), "--set", "classes=thing9"]) == 2
    assert "Known: thing0, thing1, thing2" in capsys.readouterr().err


def test_classes_that_the_model_does_not_have_are_refused(small: Model, tmp_path: Path):
    for settings in ({"classes": ["thing7"]}, {"class_scores": {"thing7": 0.5}}):
        with pytest.raises(UnknownName, match="class of the model"):
            export(small, "onnx", out=tmp_path / "a.onnx", **settings)
    with pytest.raises(InvalidValue, match="from 0 to 1"):
        export(small, "onnx", out=tmp_path / "a.onnx", class_scores={"thing0": 2})
    assert not list(tmp_path.iterdir())
