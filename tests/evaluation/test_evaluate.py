"""`evaluate` on real images: its figures, its classes, and what it does about what is broken."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scantling
from scantling import Predictor, Selection
from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData, InvalidValue
from scantling.evaluation import (
    choose_protocol,
    describe_stats,
    evaluate,
    evaluate_results,
    selection_for,
    warnings_of,
    write_results,
)

SELECTION = Selection(min_score=0.3)


@pytest.fixture(scope="module")
def predictor(assets: Path) -> Predictor:
    """A small real model with COCO's classes, in the spelling of darknet."""
    folder = assets / "weights" / "yolo-fastest-1.1-coco"
    return scantling.load(
        folder / "yolo-fastest-1.1.cfg",
        names=folder / "coco.names",
        device="cpu",
        selection=SELECTION,
    )


@pytest.fixture(scope="module")
def labelled(assets: Path, predictor: Predictor, tmp_path_factory: Any) -> Callable[..., Path]:
    """A function that writes photos as a COCO data set whose labels are what the model finds.

    So everything is found, and AP is 1, unless something goes wrong on the way.
    """
    photos = [assets / "images" / "darknet" / f"{name}.jpg" for name in ("dog", "eagle", "horses")]
    found = {path.name: predictor(path) for path in photos}

    def write(names: list[str] | None = None, *, spelling: dict[str, str] | None = None) -> Path:
        folder = tmp_path_factory.mktemp("data")
        spelt = spelling or {}
        present = {name for one in found.values() for name in one.class_names}
        names = names or sorted(present)
        ids = {name: 7 * place + 3 for place, name in enumerate(names)}
        images, annotations = [], []
        for number, path in enumerate(photos):
            shutil.copy(path, folder)
            height, width = found[path.name].image_size
            size = {"height": height, "width": width}
            images.append({"id": 100 - number, "file_name": path.name, **size})
            for one in found[path.name].to_coco(100 - number, category_ids=dict.fromkeys(present)):
                del one["category_id"], one["score"]
                annotations.append({**one, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0})
            for name, annotation in zip(
                found[path.name].class_names,
                annotations[len(annotations) - len(found[path.name]) :],
                strict=True,
            ):
                annotation["category_id"] = ids.get(name)
        annotations = [one for one in annotations if one["category_id"] is not None]
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        categories = [{"id": id_, "name": spelt.get(name, name)} for name, id_ in ids.items()]
        data = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "labels.json").write_text(json.dumps(data))
        return folder / "labels.json"

    return write


def test_labels_that_are_what_the_model_finds_give_an_ap_of_one(
    predictor: Predictor, labelled: Callable[..., Path]
):
    evaluation = evaluate(predictor, labelled())
    assert evaluation.stats["AP"] == pytest.approx(1.0)
    assert evaluation.metrics.best_score >= 0.3
    assert evaluation.metrics.curves.overall.best_f1 == 1
    counts = evaluation.metrics.confusion.counts
    assert counts.sum() == counts.diagonal().sum() == len(evaluation.dataset.objects)
    assert all(one.f1 == 1 for one in evaluation.metrics.ranking)
    assert evaluation.seconds.network > 0


def test_an_engine_that_was_opened_for_it_is_closed_and_no_other(
    predictor: Predictor, labelled: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    closed: list[Predictor] = []
    monkeypatch.setattr(Predictor, "close", lambda self: closed.append(self))
    monkeypatch.setattr("scantling.evaluation.evaluator.load", lambda *_, **__: predictor)
    evaluate(predictor, labelled())
    assert not closed
    evaluate("a name", labelled())
    assert closed == [predictor]


def test_the_order_and_spelling_of_the_classes_make_no_difference(
    predictor: Predictor, labelled: Callable[..., Path]
):
    names = sorted({*predictor.names})[::-1]
    spelling = {"aeroplane": "airplane", "sofa": "couch", "tvmonitor": "tv"}
    evaluation = evaluate(predictor, labelled(names, spelling=spelling))
    assert evaluation.stats["AP"] == pytest.approx(1.0)
    assert evaluation.classes is not None
    assert ("couch", "sofa") in evaluation.classes.renamed


def test_batches_workers_and_rectangles_find_the_same(
    predictor: Predictor, labelled: Callable[..., Path], assets: Path
):
    path = labelled()
    plain = evaluate(predictor, path)
    batched = evaluate(predictor, path, batch_size=2, workers=1)
    order = [
        np.lexsort((one.detections.scores, one.detections.image_index)) for one in (plain, batched)
    ]
    for name in ("image_index", "labels"):
        first, second = (
            getattr(one.detections, name)[own]
            for one, own in zip((plain, batched), order, strict=True)
        )
        assert (first == second).all()
    assert batched.stats["AP"] == pytest.approx(plain.stats["AP"])
    letterboxed = Predictor(
        predictor.engine,
        predictor.names,
        input_spec=predictor.input_spec.replace(resize_mode="letterbox"),
        selection=SELECTION,
    )
    square = evaluate(letterboxed, path)
    rectangular = evaluate(letterboxed, path, batch_size=2, rectangular=True)
    assert rectangular.stats["AP50"] == pytest.approx(square.stats["AP50"], abs=0.1)
    assert set(rectangular.detections.image_index.tolist()) == {0, 1, 2}


def test_a_class_that_the_model_does_not_know_is_refused_or_left_out(
    predictor: Predictor, labelled: Callable[..., Path]
):
    path = labelled(spelling={"dog": "hound"})
    with pytest.raises(InvalidData, match="'hound'"):
        evaluate(predictor, path)
    named = evaluate(predictor, path, rename_classes={"hound": "dog"})
    assert named.stats["AP"] == pytest.approx(1.0)
    without = evaluate(predictor, path, known_classes_only=True)
    assert without.stats["AP"] == pytest.approx(1.0)
    assert len(without.dataset.objects) < len(named.dataset.objects)
    assert without.classes is not None
    assert without.classes.unknown == ("hound",)


def test_only_the_first_images_are_looked_at_when_that_is_asked_for(
    predictor: Predictor, labelled: Callable[..., Path]
):
    evaluation = evaluate(predictor, labelled(), limit=1)
    assert len(evaluation.dataset) == 1
    assert set(evaluation.detections.image_index.tolist()) == {0}
    assert evaluation.stats["AP"] == pytest.approx(1.0)
    with pytest.raises(InvalidValue, match="limit"):
        evaluate(predictor, labelled(), limit=0)


def test_a_damaged_image_is_an_error_or_counts_as_one_without_detections(
    predictor: Predictor, labelled: Callable[..., Path]
):
    path = labelled()
    whole = (path.parent / "horses.jpg").read_bytes()
    (path.parent / "horses.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidData, match=r"horses\.jpg.*--max-data-errors"):
        evaluate(predictor, path)
    evaluation = evaluate(predictor, path, max_data_errors=1)
    ((name, problem),) = evaluation.unreadable
    assert name.endswith("horses.jpg")
    assert problem
    assert evaluation.metrics.result.stats["AR100"] < 1
    misses = {one.image_index: one.false_negatives for one in evaluation.metrics.ranking}
    assert misses[2] == len(evaluation.dataset.objects_of(2))


def test_an_image_of_another_size_than_its_labels_is_an_error(
    predictor: Predictor, labelled: Callable[..., Path]
):
    file = labelled()
    tree = json.loads(file.read_text("utf-8"))
    tree["images"][0]["width"] += 2
    file.write_text(json.dumps(tree), "utf-8")
    with pytest.raises(InvalidData, match=r"pixels, but labelled as \d+x\d+ \(E224\)"):
        evaluate(predictor, file)
    counted = evaluate(predictor, file, max_data_errors=1)
    assert len(counted.unreadable) == 1


def test_a_missing_image_counts_as_one_error_only(
    predictor: Predictor, labelled: Callable[..., Path]
):
    path = labelled()
    (path.parent / "horses.jpg").unlink()
    with pytest.raises(InvalidData, match=r"horses\.jpg"):
        evaluate(predictor, path)
    assert len(evaluate(predictor, path, max_data_errors=1).unreadable) == 1


def test_the_results_file_of_a_run_gives_its_figures_again(
    predictor: Predictor, labelled: Callable[..., Path], tmp_path: Path
):
    path = labelled()
    for fit in ("stretch", "letterbox"):
        other = Predictor(
            predictor.engine,
            predictor.names,
            input_spec=predictor.input_spec.replace(resize_mode=fit),
            selection=replace(SELECTION, min_score=0.01),
        )
        run = evaluate(other, path)
        write_results(tmp_path / "results.json", run.detections, run.metrics.truth)
        read = evaluate_results(tmp_path / "results.json", path)
        assert read.stats == run.stats
    first = evaluate_results(tmp_path / "results.json", path, limit=1)
    assert set(first.detections.image_index.tolist()) == {0}
    assert {one["category_id"] for one in json.loads((tmp_path / "results.json").read_text())} <= {
        *run.dataset.category_ids
    }


def test_coco_s_own_fake_results_give_its_published_block(assets: Path):
    folder = assets / "refs" / "coco_eval"
    evaluation = evaluate_results(
        folder / "instances_val2014_fakebbox100_results.json", folder / "instances_val2014_100.json"
    )
    printed = (folder / "val2014_fake_eval_res.txt").read_text()
    block = printed.split("type=bbox")[1].split("---")[0]
    expected = [line.rsplit("=", 1)[1].strip() for line in block.splitlines() if "@" in line]
    assert [f"{value:.3f}" for value in evaluation.stats.values()] == expected


@pytest.mark.parametrize("protocol", ["voc07", "voc12", "darknet"])
def test_the_other_protocols_find_everything_too(
    protocol: str, predictor: Predictor, labelled: Callable[..., Path]
):
    evaluation = evaluate(predictor, labelled(), protocol=protocol)
    assert evaluation.stats["mAP"] == pytest.approx(1.0)
    assert evaluation.stats.keys() == {"mAP"}
    assert "scores from 0.3" in evaluation.protocol_line


def test_a_protocol_says_how_detections_are_selected():
    coco = selection_for("coco")
    assert (coco.min_score, coco.iou_threshold, coco.max_detections) == (0.001, 0.6, 300)
    darknet = selection_for("darknet")
    assert (darknet.min_score, darknet.iou_threshold) == (0.005, 0.45)


def test_a_number_of_points_that_a_protocol_does_not_have_is_refused():
    assert choose_protocol("darknet", points=101).points == 101
    assert choose_protocol("coco", points=101).points == 101
    with pytest.raises(InvalidValue, match="points"):
        choose_protocol("coco", points=11)


def test_the_protocol_line_says_what_the_predictor_did(
    predictor: Predictor, labelled: Callable[..., Path]
):
    other = Predictor(
        predictor.engine,
        predictor.names,
        input_spec=predictor.input_spec,
        selection=replace(SELECTION, merge="wbf", iou_threshold=0.55, class_aware=False),
        clip=False,
    )
    line = evaluate(other, labelled(), limit=1).protocol_line
    assert "WBF across classes 0.55" in line
    assert "boxes not clipped" in line
    assert "300" in line


def test_data_without_images_is_refused(predictor: Predictor, labelled: Callable[..., Path]):
    dataset = read_dataset(labelled())
    empty = replace(dataset, images=(), objects=dataset.objects.take(slice(0, 0)))
    with pytest.raises(InvalidData, match="no images"):
        evaluate(predictor, empty)


def test_what_leaves_no_object_has_no_ap_and_says_so(
    predictor: Predictor, labelled: Callable[..., Path]
):
    with pytest.raises(InvalidData, match="E115"):
        evaluate(predictor, labelled(["unicorn"]))
    data = labelled(["dog", "skateboard"], spelling={"dog": "hound"})
    found = evaluate(predictor, data, known_classes_only=True)
    assert set(found.stats.values()) == {None}
    assert "No object counts in what was evaluated" in warnings_of(found)[0]


@pytest.mark.parametrize("protocol", ["coco", "voc12", "darknet"])
def test_the_first_images_without_an_object_give_figures_of_nothing(
    predictor: Predictor, labelled: Callable[..., Path], protocol: str
):
    dataset = read_dataset(labelled())
    later = dataset.objects.take(dataset.objects.image_index > 0)
    found = evaluate(predictor, replace(dataset, objects=later), limit=1, protocol=protocol)
    assert set(found.stats.values()) == {None}
    assert "No object counts in what was evaluated" in warnings_of(found)[0]
    told = describe_stats(found)
    assert " = –" in told
    assert "-1" not in told.replace("maxDets=100", "")
