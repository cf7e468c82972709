"""What a verification measures, what it takes, and what it leaves behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from injections import edit_onnx, swap_channels

from scantling.engines import read_metadata
from scantling.engines.file_engine import FileEngine
from scantling.errors import InvalidValue
from scantling.specs.metadata import Metadata
from scantling.specs.schema import InputSpec
from scantling.verification import Figure, Stage, Verification, save_verification, scenes, verify
from scantling.verification.classes import fit_classes
from scantling.verification.distance import (
    DetectionArrays,
    decibels,
    detection_error,
    pair,
    raw_error,
    score_error,
)
from scantling.verification.metadata_diff import compare_metadata
from scantling.verification.scenes import draw_noise, draw_scenes


def test_scenes_are_the_same_each_time_and_differ_from_their_mirror_images():
    first = draw_scenes(3)
    scenes._scene.cache_clear()
    second = draw_scenes(3)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)
        assert np.abs(one.astype(int) - one[:, ::-1]).mean() > 10
        assert np.abs(one.astype(int) - one[:, :, ::-1]).mean() > 10
        assert np.abs(one.astype(int) - one[::-1]).mean() > 10
    assert len({one.shape for one in first}) == 3


def test_scenes_have_the_falling_spectrum_of_photographs_and_noise_has_none():
    def steepness(image: np.ndarray) -> float:
        grey = image.mean(axis=2)
        neighbours = np.square(np.diff(grey, axis=1)).mean()
        return float(neighbours / grey.var())

    assert steepness(draw_scenes(1)[0]) < 0.2  # neighbours are alike
    assert steepness(draw_noise((64, 64))["uniform"]) == pytest.approx(2, rel=0.1)


def test_energy_of_a_tenth_is_twenty_decibels():
    rng = np.random.default_rng(0)
    raw = rng.normal(5, 2, (3, 40, 40)).astype(np.float32)
    off = raw + rng.normal(0, 0.2, raw.shape).astype(np.float32)
    assert decibels(raw_error([raw], [off], scale=[raw])) == pytest.approx(20, abs=0.5)


def test_energy_of_scores_that_are_no_numbers_is_large_and_finite():
    scores = np.random.default_rng(0).uniform(0, 1, (50, 4)).astype(np.float32)
    broken = np.full_like(scores, np.nan)
    assert 1 < score_error(scores, broken, scale=scores) < 1e6


def test_pairs_are_one_to_one_and_of_one_class():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], np.float32)
    first = DetectionArrays(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 0, 1]))
    second = DetectionArrays(boxes[[0, 2]], np.array([0.9, 0.7], np.float32), np.array([0, 2]))
    mine, theirs, ious = pair(first, second)
    assert mine.tolist() == [0]
    assert theirs.tolist() == [0]
    assert ious.tolist() == [1]
    assert detection_error(first, first) == 0
    assert detection_error(first, second) == pytest.approx(3 / 5)


def test_classes_are_found_by_what_their_columns_say():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(500, 6)).astype(np.float32)
    columns = np.array([3, 1, 0, 2, 5, 4])
    given = np.empty_like(expected)
    given[:, columns] = expected + rng.normal(0, 0.1, expected.shape)
    assert fit_classes(expected, given).tolist() == columns.tolist()
    assert fit_classes(expected, expected + np.float32(0.1)) is None


def test_a_figure_that_is_no_number_keeps_no_limit():
    nan = float("nan")
    assert not Figure("x", nan, 1.0).holds
    assert not Figure("x", nan, 1.0, at_least=False).holds
    assert Figure("x", nan).holds


def test_a_report_is_json_without_what_json_lacks(tmp_path: Path):
    stage = Stage("tensors", (Figure("x", float("nan"), 1.0),), "two images")
    verification = Verification(str(tmp_path / "a.onnx"), "b", "c", "fp32", (stage,))
    path = save_verification(verification)
    assert path == tmp_path / "verify.json"
    record = json.loads(path.read_text("utf-8"))
    assert record["passed"] is False
    assert record["stages"][0]["figures"][0]["value"] is None


def test_the_source_of_metadata_is_found_beside_the_file(
    yolo, assets: Path, tmp_path: Path, logged: list[str]
):
    from injections import edit_metadata

    folder = assets / "weights" / "yolov4-tiny-coco"
    with pytest.raises(InvalidValue, match="--against MODEL"):
        verify(edit_onnx(yolo.file, tmp_path / "a.onnx", edit_metadata(name_source("gone.cfg"))))
    for suffix in ("cfg", "weights"):
        shutil.copy(folder / f"yolov4-tiny.{suffix}", tmp_path)
    shutil.copy(folder / "coco.names", tmp_path / "yolov4-tiny.names")
    file = edit_onnx(
        yolo.file, tmp_path / "b.onnx", edit_metadata(name_source("x/yolov4-tiny.cfg"))
    )
    assert verify(file, engine="onnxruntime").passed
    assert any("yolov4-tiny.cfg" in line for line in logged)


def name_source(source: str):
    def change(record: dict) -> None:
        record["source"] = source

    return change


def test_a_file_is_compared_with_another_file(
    yolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed: list[FileEngine] = []
    monkeypatch.setattr(FileEngine, "close", lambda self: closed.append(self))
    copy = Path(shutil.copy(yolo.file, tmp_path / "copy.onnx"))
    assert verify(copy, against=yolo.file, engine="onnxruntime").passed
    assert len(closed) == 2
    wrong = edit_onnx(yolo.file, tmp_path / "wrong.onnx", swap_channels)
    found = verify(wrong, against=yolo.file, engine="onnxruntime")
    assert [fault.name for fault in found.faults] == ["channels swapped (BGR)"]


def test_another_padding_value_in_metadata_is_named(yolo):
    right = read_metadata(yolo.file)
    own = right.input_spec.replace(resize_mode="letterbox", pad_value=114)
    faults, _ = compare_metadata(
        _with_input(right, own.replace(pad_value=0)), _with_input(right, own)
    )
    assert [(one.name, one.evidence) for one in faults] == [
        ("wrong padding value", "around an image is 0 in place of 114, says its metadata")
    ]
    same = own.replace(pad_value=(114, 114, 114))
    assert compare_metadata(_with_input(right, same), _with_input(right, own)) == ([], [])


def _with_input(metadata: Metadata, spec: InputSpec) -> Metadata:
    changed = metadata.spec.replace(input=spec)
    return metadata.model_copy(update={"spec": changed})


def test_ap_of_file_and_model_is_compared_where_there_is_data(yolo, assets: Path, tmp_path: Path):
    source = assets / "datasets" / "coco-val2017-first128"
    for part in ("images", "labels"):
        shutil.copytree(source / part, tmp_path / "street" / part)
    listed = (source / "config.yaml").read_text("utf-8").split("\nnames:")[1]
    data = tmp_path / "street.yaml"
    data.write_text(f"path: street\nval: images\nnames:{listed}", "utf-8")
    found = verify(yolo.file, against=yolo.model, data=data, limit=4, engine="onnxruntime")
    assert found.passed, found.describe_failure()
    (ap,) = (stage for stage in found.stages if stage.name == "ap")
    figures = {figure.name: figure.value for figure in ap.figures}
    assert figures["AP of the model"] > 0.02
    assert figures["AP lost"] == pytest.approx(0, abs=1e-3)


def test_stages_and_limits_that_do_not_exist_are_refused(yolo):
    with pytest.raises(InvalidValue, match="stages"):
        verify(yolo.file, against=yolo.model, stages=("speed",))
    with pytest.raises(InvalidValue, match="max_ap_drop"):
        verify(yolo.file, against=yolo.model, max_ap_drop=2)
