"""COCO's figures equal pycocotools' to the last bit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coco_oracle import Document, Results, by_pycocotools, found_from, truth_from
from hypothesis import given, settings, strategies as st

from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.errors import InvalidValue
from scantling.evaluation import CocoResult, evaluate_coco, format_coco_block, make_ground_truth


def random_case(seed: int) -> tuple[Document, Results]:
    """A few images full of what is awkward: ties, crowds, area edges, absences, too many."""
    rng = np.random.default_rng(seed)
    categories = rng.choice(np.arange(1, 9), rng.integers(1, 5), replace=False).tolist()
    images = rng.choice(np.arange(1, 60), rng.integers(1, 6), replace=False).tolist()
    grid = rng.random() < 0.5  # whole pixels on a coarse grid: equal IoUs abound

    def boxes(count: int) -> np.ndarray:
        corner, side = rng.uniform(0, 150, (count, 2)), rng.uniform(0, 130, (count, 2))
        edges = rng.random(count) < 0.2
        side[edges] = rng.choice([0.0, 32.0, 96.0, 16.0, 64.0], (int(edges.sum()), 1))
        table = np.concatenate([corner, side], axis=1)
        return np.round(table / 16) * 16 if grid else np.round(table, int(rng.integers(1, 12)))

    annotations, results = [], []
    for image in images:
        labelled = boxes(int(rng.choice([0, 0, 1, 3, 8, 20])))
        for box in labelled.tolist():
            area = box[2] * box[3] * rng.choice([1.0, 1.0, 0.6])
            area = rng.choice([1024.0, 9216.0, 1e11]) if rng.random() < 0.15 else area
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.choice(categories)),
                    "bbox": box,
                    "area": float(area),
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
        count = int(rng.choice([0, 1, 5, 30, 130], p=[0.2, 0.2, 0.3, 0.2, 0.1]))
        detected = boxes(count)
        if count and len(labelled):
            near = rng.random(count) < 0.6
            jitter = rng.choice([0.0, 0.0, 2.0, 10.0], (int(near.sum()), 1))
            chosen = labelled[rng.integers(0, len(labelled), int(near.sum()))]
            detected[near] = chosen + jitter * rng.standard_normal((int(near.sum()), 4))
        scores = rng.random(count) if rng.random() < 0.5 else rng.integers(0, 5, count) / 4
        results += [
            {"image_id": image, "category_id": int(category), "bbox": box, "score": score}
            for category, box, score in zip(
                rng.choice(categories, count), detected.tolist(), scores.tolist(), strict=True
            )
        ]
    rng.shuffle(results)
    rng.shuffle(annotations)
    document = {
        "images": [{"id": image, "height": 300, "width": 300} for image in images],
        "categories": [{"id": category, "name": f"c{category}"} for category in categories],
        "annotations": annotations,
    }
    return document, results


def differences(ours: CocoResult, theirs: object) -> list[str]:
    """Where two evaluations are not bit for bit the same."""
    order = np.argsort(ours.category_ids, kind="stable")
    tables = {
        "precision": ours.precision[:, :, order],
        "recall": ours.recall[:, order],
        "scores": ours.scores[:, :, order],
    }
    wrong = [key for key, table in tables.items() if not np.array_equal(table, theirs.eval[key])]
    if list(ours.stats.values()) != theirs.stats.tolist():
        wrong.append(f"stats {ours.stats} against {theirs.stats.tolist()}")
    return wrong


def ours_of(document: Document, results: Results, **options: object) -> CocoResult:
    truth = truth_from(document)
    return evaluate_coco(truth, found_from(results, truth), **options)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_every_figure_equals_pycocotools_on_random_cases(seed: int):
    document, results = random_case(seed)
    assert not differences(ours_of(document, results), by_pycocotools(document, results))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_every_figure_equals_pycocotools_when_classes_are_not_told_apart(seed: int):
    document, results = random_case(seed)
    theirs = by_pycocotools(document, results, useCats=0)
    assert not differences(ours_of(document, results, class_agnostic=True), theirs)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_every_table_equals_pycocotools_under_other_settings(seed: int):
    document, results = random_case(seed)
    ious, limits = (0.1, 0.5, 1.0), (2, 5, 50)
    areas = {
        "all": (0.0, 1e10),
        "small": (0.0, 256.0),
        "medium": (256.0, 1024.0),
        "large": (1024.0, 1e10),
    }
    theirs = by_pycocotools(
        document,
        results,
        iouThrs=np.array(ious),
        maxDets=list(limits),
        areaRng=[list(bounds) for bounds in areas.values()],
    )
    ours = ours_of(document, results, ious=ious, max_detections=limits, areas=areas)
    assert not [what for what in differences(ours, theirs) if not what.startswith("stats")]
    assert ours.stats["AP50"] == ours.average_precision(iou=0.5)
    assert ours.stats["AP75"] == -1


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_a_difficult_object_counts_as_pycocotools_counts_one_of_no_area_range(seed: int):
    document, results = random_case(seed)
    truth = truth_from(document)
    chosen = np.random.default_rng(seed).random(len(truth)) < 0.4
    chosen &= ~truth.crowd
    place = {
        (tuple(box), area)
        for box, area in zip(
            truth.boxes[chosen].tolist(), truth.areas[chosen].tolist(), strict=True
        )
    }
    difficult = np.array(
        [
            (tuple(box), area) in place
            for box, area in zip(truth.boxes.tolist(), truth.areas.tolist(), strict=True)
        ],
        np.bool_,
    )
    ours = evaluate_coco(replace(truth, difficult=difficult), found_from(results, truth))
    for one in document["annotations"]:
        if (tuple(one["bbox"]), one["area"]) in place:
            one["area"] = 1e12
    assert not differences(ours, by_pycocotools(document, results))


@pytest.fixture(scope="module")
def reference(assets: Path) -> tuple[Document, Results, str]:
    """COCO's own example: annotations of 100 images, made-up results, and the printed figures."""
    folder = assets / "refs" / "coco_eval"
    printed = (folder / "val2014_fake_eval_res.txt").read_text().split("type=bbox")[1]
    lines = [line for line in printed.split("type=keypoints")[0].splitlines() if "maxDets" in line]
    return (
        json.loads((folder / "instances_val2014_100.json").read_text()),
        json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text()),
        "".join(f"{line}\n" for line in lines),
    )


def figures(block: str) -> list[str]:
    return [line.rsplit("=", 1)[1].strip() for line in block.splitlines()]


def test_all_twelve_figures_of_the_coco_example_come_out_from_the_file(reference):
    document, results, printed = reference
    ours = ours_of(document, results)
    theirs = by_pycocotools(document, results)
    assert not differences(ours, theirs)
    assert format_coco_block(ours) == theirs.printed
    assert len(figures(printed)) == 12
    assert figures(format_coco_block(ours)) == figures(printed)


def test_all_twelve_figures_of_the_coco_example_come_out_from_a_dataset(reference):
    document, results, printed = reference
    ours = truth_from(document)
    images = tuple(
        LabelledImage(Path(one["file_name"]), one["id"], (one["height"], one["width"]))
        for one in document["images"]
    )
    corners = np.concatenate([ours.boxes[:, :2], ours.boxes[:, :2] + ours.boxes[:, 2:]], axis=1)
    objects = make_objects(
        corners, ours.labels, ours.image_index, crowd=ours.crowd, areas=ours.areas
    )
    data = Dataset(Path("x.json"), "coco", "val", ours.names, ours.category_ids, images, objects)
    truth = make_ground_truth(data)
    assert np.array_equal(truth.boxes, ours.boxes)  # to the last bit, by way of corners
    result = evaluate_coco(truth, found_from(results, truth))
    assert not differences(result, by_pycocotools(document, results))
    assert figures(format_coco_block(result)) == figures(printed)


def test_the_limit_of_detections_holds_per_image_and_class_when_these_change_together():
    document = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "iscrowd": 0}
            | {"bbox": [10 * number, 0, 8, 8], "area": 64}
            for number, (image, category) in enumerate([(2, 1), (1, 2)], start=1)
        ],
    }
    results = [
        {"image_id": image, "category_id": category, "score": place / 100}
        | {"bbox": [10 * number, 0, 8, 8 if place == 0 else 1]}
        for number, (image, category) in enumerate([(2, 1), (1, 2)], start=1)
        for place in range(60)
    ]
    ours = ours_of(document, results)
    assert ours.stats["AR100"] == 1
    assert not differences(ours, by_pycocotools(document, results))


def test_nothing_is_printed_or_logged(reference, capfd, caplog):
    document, results, _ = reference
    ours_of(document, results)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_the_figures_of_a_class_are_the_means_over_its_own_table(reference):
    document, results, _ = reference
    ours = ours_of(document, results)
    every = ours.per_class()
    assert [one.name for one in every] == list(ours.names)
    defined = [one.ap for one in every if one.ap > -1]
    assert np.mean(defined) == pytest.approx(ours.stats["AP"], abs=1e-12)
    assert any(one.ap == -1 for one in every)  # 100 images lack some classes


def test_a_truth_without_objects_has_no_figures_but_is_evaluated():
    document = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}], "annotations": []}
    results = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}]
    assert set(ours_of(document, results).stats.values()) == {-1.0}
    assert set(ours_of(document, []).stats.values()) == {-1.0}


@pytest.mark.parametrize(
    "wrong", [{"ious": ()}, {"ious": (1.5,)}, {"max_detections": (0,)}, {"areas": {"big": (0, 1)}}]
)
def test_a_setting_without_meaning_is_refused(wrong: dict[str, object]):
    document, results = random_case(0)
    with pytest.raises(InvalidValue):
        ours_of(document, results, **wrong)
