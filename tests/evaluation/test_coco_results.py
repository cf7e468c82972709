"""Results files: what is written is read back, and what fits nothing is an error."""

import contextlib
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from coco_oracle import found_from, truth_from
from hypothesis import HealthCheck, given, settings, strategies as st
from random_tables import random_tables

from scantling.errors import InvalidData, InvalidValue
from scantling.evaluation import (
    DetectionTable,
    DetectionTableBuilder,
    GroundTruth,
    read_results,
    write_results,
)
from scantling.structures import Detections

GOOD = {"image_id": 0, "category_id": 1, "bbox": [1, 2.5, 3, 4], "score": 0.5}


@pytest.fixture(scope="module")
def tables() -> tuple[GroundTruth, DetectionTable]:
    return random_tables(11)


def same(one: DetectionTable, other: DetectionTable) -> bool:
    return all(np.array_equal(getattr(one, key), getattr(other, key)) for key in vars(one))


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path, tables):
    truth, found = tables
    path = tmp_path / "results.json"
    write_results(path, found, truth)
    assert len(found) > 20
    assert same(read_results(path, truth), found)
    assert not list(tmp_path.glob("*.part"))


def test_no_detections_are_written_and_read(tmp_path: Path, tables):
    truth, found = tables
    path = tmp_path / "results.json"
    write_results(path, found.above(2.0), truth)
    assert json.loads(path.read_text()) == []
    assert len(read_results(path, truth)) == 0


def test_results_from_elsewhere_keep_their_numbers(assets: Path):
    folder = assets / "refs" / "coco_eval"
    truth = truth_from(json.loads((folder / "instances_val2014_100.json").read_text()))
    path = folder / "instances_val2014_fakebbox100_results.json"
    assert same(read_results(path, truth), found_from(json.loads(path.read_text()), truth))


def test_a_file_longer_than_what_is_read_at_once_is_read_whole(tmp_path: Path, tables):
    truth, _ = tables
    path = tmp_path / "long.json"
    rows = [{**GOOD, "score": place / 40_000, "extra": ["}, {", {}]} for place in range(40_000)]
    path.write_text(json.dumps(rows, indent=1))
    assert path.stat().st_size > 5 * 2**20
    found = read_results(path, truth)
    assert found.scores.tolist() == [row["score"] for row in rows]


def test_memory_stays_far_below_the_file(tmp_path: Path, tables):
    truth, _ = tables
    path = tmp_path / "padded.json"
    path.write_text(json.dumps([{**GOOD, "note": "x" * 2_000}] * 10_000))
    tracemalloc.start()
    read_results(path, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 20e6
    assert peak < 8e6


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON list"),
        ("{}", "no JSON list"),
        ("[", "ends within the list"),
        ("[1]", "detection 0 .* no JSON object"),
        (json.dumps([GOOD]) + "x", "something follows"),
        (json.dumps([GOOD])[:-1], "ends within the list"),
        (json.dumps([GOOD])[:-1] + ",]", "ends within the list|no JSON"),
        (json.dumps([GOOD])[:-1] + json.dumps([GOOD])[1:], "no comma after detection 0"),
        (json.dumps([{**GOOD, "score": float("nan")}]), "no JSON"),
        (json.dumps([GOOD]).replace("0.5", "1e999"), "not finite"),
        (json.dumps([GOOD]).replace("0.5", "9" * 400), "not finite"),
        (json.dumps([GOOD]).replace("0.5", "9" * 5000), "no JSON"),
        (json.dumps([{**GOOD, "score": "0.5"}]), "no number"),
        (json.dumps([{**GOOD, "score": True}]), "no number"),
        (json.dumps([{**GOOD, "bbox": [1, 2, 3]}]), "four numbers"),
        (json.dumps([{**GOOD, "bbox": None}]), "four numbers"),
        (json.dumps([{**GOOD, "category_id": 1.0}]), "category_id is no whole number"),
        (json.dumps([{**GOOD, "image_id": None}]), "image_id"),
        (json.dumps([{"image_id": 1}]), "category_id"),
        ("[" * 100_000, "no JSON"),
        ('[{"bbox": ' + "[" * 100_000, "no JSON|ends within"),
    ],
)
def test_a_file_that_is_no_list_of_results_is_refused(
    tmp_path: Path, tables, text: str, problem: str
):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(InvalidData, match=problem):
        read_results(path, tables[0])


def test_bytes_that_are_no_text_and_files_that_are_absent_are_refused(tmp_path: Path, tables):
    path = tmp_path / "binary.json"
    path.write_bytes(b"[\xff\xfe\x00]")
    with pytest.raises(InvalidData, match="UTF-8"):
        read_results(path, tables[0])
    with pytest.raises(InvalidData, match="No such file"):
        read_results(tmp_path / "absent.json", tables[0])


def test_unknown_images_and_categories_are_counted_and_named(tmp_path: Path, tables):
    path = tmp_path / "other.json"
    path.write_text(json.dumps([GOOD, {**GOOD, "image_id": 777}, {**GOOD, "image_id": 777}]))
    with pytest.raises(InvalidData, match=r"2 detections name 1 image ids .* lacks: 777"):
        read_results(path, tables[0])
    path.write_text(json.dumps([{**GOOD, "category_id": 90}]))
    with pytest.raises(InvalidData, match=r"1 detections name 1 category ids .* lacks: 90"):
        read_results(path, tables[0])


def test_an_id_that_would_steer_a_terminal_is_shown_escaped(tmp_path: Path, tables):
    path = tmp_path / "other.json"
    path.write_text(json.dumps([{**GOOD, "image_id": "\x1b[2J"}]))
    with pytest.raises(InvalidData) as caught:
        read_results(path, tables[0])
    assert "\x1b" not in str(caught.value)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, tables, data):
    text = bytearray(json.dumps([GOOD, GOOD, {**GOOD, "segmentation": {"size": [3, 4]}}]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.json"
    path.write_bytes(bytes(text))
    start = time.thread_time()
    with contextlib.suppress(InvalidData):
        assert len(read_results(path, tables[0])) == 3
    assert time.thread_time() - start < 30


def test_what_is_collected_image_by_image_equals_the_file_that_to_coco_makes(tmp_path: Path):
    rng = np.random.default_rng(2)
    truth, _ = random_tables(11)
    builder, rows = DetectionTableBuilder(), []
    for index in range(len(truth.image_ids)):
        count = 1500  # beyond the room at the start
        corner = rng.uniform(0, 50, (count, 2)).astype(np.float32)
        boxes = np.concatenate([corner, corner + rng.uniform(1, 9, (count, 2))], axis=1)
        detections = Detections(
            boxes.astype(np.float32),
            np.sort(rng.random(count, dtype=np.float32))[::-1].copy(),
            rng.integers(0, len(truth.names), count),
            truth.names,
            (90, 90),
        )
        builder.add(index, detections)
        ids = dict(zip(truth.names, truth.category_ids, strict=True))
        rows += detections.to_coco(truth.image_ids[index], category_ids=ids)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    assert len(builder) == len(rows) > 1024
    assert same(builder.build(), read_results(path, truth))


def test_detections_of_classes_that_the_data_set_lacks_are_left_out():
    detections = Detections(
        np.array([[0, 0, 2, 4], [1, 1, 3, 3]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([0, 1]),
        ("dog", "cat"),
        (9, 9),
    )
    builder = DetectionTableBuilder([-1, 5])
    builder.add(3, detections)
    found = builder.build()
    assert (found.labels.tolist(), found.image_index.tolist()) == ([5], [3])
    assert found.boxes.tolist() == [[1, 1, 2, 2]]
    assert found.scores.tolist() == [0.8]


def test_a_number_that_is_not_finite_is_no_detection():
    with pytest.raises(InvalidValue, match="finite"):
        DetectionTable(
            np.array([[0.0, 0, np.nan, 1]]),
            np.ones(1),
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
        )
