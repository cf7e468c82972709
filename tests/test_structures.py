"""Placement, and Detections with their conversions, checked by hand and in the real tools."""

import json
import re
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from scantling.errors import InvalidValue, MissingPackage, UnknownName
from scantling.structures import Detection, Detections, Placement

NAMES = ("cat", "traffic light", "dog")


def detections(
    boxes: object = ((10, 20, 110, 70), (-5, 0, 40, 210.5)),
    scores: object = (0.87, 0.5),
    labels: object = (2, 0),
    *,
    names: tuple[str, ...] = NAMES,
    image_size: tuple[int, int] = (100, 200),
) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
        names,
        image_size,
        "street.jpg",
    )


def nothing() -> Detections:
    return detections((), (), ())


def test_placement_undo_takes_boxes_back_to_where_apply_found_them():
    placement = Placement(0.5, 0.25, left=10, top=20, image_size=(100, 200))
    boxes = np.array([[0, 0, 200, 100], [20, 40, 60, 80]], np.float32)
    placed = placement.apply(boxes)
    assert placed.tolist() == [[10, 20, 110, 45], [20, 30, 40, 40]]
    assert placement.undo(placed).tolist() == boxes.tolist()


def test_placement_undo_cuts_off_at_the_edge_unless_told_not_to():
    placement = Placement(1, 1, left=0, top=0, image_size=(100, 200))
    boxes = np.array([[-1, -2, 201, 102]], np.float32)
    assert placement.undo(boxes).tolist() == [[0, 0, 200, 100]]
    assert placement.undo(boxes, clip=False).tolist() == [[-1, -2, 201, 102]]


def test_detections_count_and_iterate_best_first():
    found = detections()
    assert len(found) == 2
    first, second = found
    assert first == Detection((10, 20, 110, 70), pytest.approx(0.87), 2, "dog")
    assert second.name == "cat"
    assert found.class_names == ["dog", "cat"]


@pytest.mark.parametrize("which", [slice(1, None), np.array([False, True]), np.array([1]), [1]])
def test_detections_take_a_slice_a_mask_or_positions(which):
    kept = detections()[which]
    assert [one.name for one in kept] == ["cat"]
    assert (kept.image_size, kept.names, kept.source) == ((100, 200), NAMES, "street.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((2, 5), np.float32)}, r"boxes is 'float32\[2, 5\]'.*\[2, 4\]"),
        ({"boxes": np.zeros((2, 4))}, r"boxes is 'float64\[2, 4\]'; expected float32\[2, 4\]"),
        ({"labels": np.zeros(3, np.int64)}, r"labels is 'int64\[3\]'; expected int64\[2\]"),
        ({"labels": np.array([0, 3])}, "labels is 3; expected places in 3 names"),
        ({"labels": np.array([-1, 0])}, "labels is -1"),
        ({"scores": np.array([0.5, np.nan], np.float32)}, "scores is .*nan.*finite"),
    ],
)
def test_detections_refuse_arrays_that_do_not_fit(change, message):
    found = detections()
    arrays = {"boxes": found.boxes, "scores": found.scores, "labels": found.labels} | change
    with pytest.raises(InvalidValue, match=message):
        Detections(**arrays, names=NAMES, image_size=(100, 200))


def from_ultralytics(found: Detections) -> object:
    """What supervision makes of them, taking them for ultralytics' results."""
    import supervision

    return supervision.Detections.from_ultralytics(found.as_results())


@pytest.mark.parametrize("found", [detections(), nothing()], ids=["two", "none"])
@pytest.mark.parametrize(
    "convert",
    [Detections.to_supervision, from_ultralytics],
    ids=["to_supervision", "from_ultralytics"],
)
def test_supervision_takes_detections(convert, found):
    import supervision

    theirs = convert(found)
    assert isinstance(theirs, supervision.Detections)
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    np.testing.assert_array_equal(theirs.class_id, found.labels)
    assert theirs["class_name"].tolist() == found.class_names
    assert theirs.tracker_id is None
    assert len(theirs[theirs.confidence > 0.6]) == int((found.scores > 0.6).sum())


def test_supervision_draws_what_it_was_given():
    import supervision

    image = np.zeros((100, 200, 3), np.uint8)
    drawn = supervision.BoxAnnotator(thickness=1).annotate(
        image.copy(), detections().to_supervision()
    )
    assert drawn[20, 10:110].any(axis=1).all()  # the upper edge of the dog


def test_to_supervision_says_what_to_install_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackage, match="pip install supervision"):
        detections().to_supervision()


def test_to_coco_gives_width_and_height_and_the_labels_as_categories():
    assert detections().to_coco(42) == [
        {"image_id": 42, "category_id": 2, "bbox": [10, 20, 100, 50], "score": 0.87},
        {"image_id": 42, "category_id": 0, "bbox": [-5, 0, 45, 210.5], "score": 0.5},
    ]


def test_to_coco_matches_categories_by_name():
    ids = {"dog": 18, "cat": 17, "unheard of": 99}
    assert [one["category_id"] for one in detections().to_coco(1, category_ids=ids)] == [18, 17]


def test_to_coco_names_the_class_that_has_no_category():
    with pytest.raises(UnknownName, match=r"No category is called 'dog'\. Did you mean 'dogs'"):
        detections().to_coco(1, category_ids={"dogs": 18, "cat": 17})


def test_to_yolo_gives_shares_of_the_image_cut_off_at_its_edge():
    assert detections().to_yolo(with_scores=True) == (
        "2 0.300000 0.450000 0.500000 0.500000 0.870000\n"
        "0 0.100000 0.500000 0.200000 1.000000 0.500000\n"
    )


def test_to_yolo_leaves_scores_out_of_label_files():
    assert detections()[:1].to_yolo() == ("2 0.300000 0.450000 0.500000 0.500000\n")


def test_to_yolo_has_no_line_for_a_box_outside_the_image():
    boxes = [[210, 0, 250, 50], [10, 20, 110, 70], [5, 5, 5, 9]]
    text = detections(boxes, (0.9, 0.8, 0.7), (0, 1, 2)).to_yolo()
    assert [line.split()[0] for line in text.splitlines()] == ["1"]


def test_to_voc_counts_pixels_from_one_and_includes_the_last():
    root = ET.fromstring(detections([[0, 0, 200, 100]], [1], [1]).to_voc("street.jpg"))
    assert root.findtext("filename") == "street.jpg"
    assert [root.findtext(f"size/{tag}") for tag in ("width", "height")] == ["200", "100"]
    assert root.findtext("object/name") == "traffic light"
    edges = ("xmin", "ymin", "xmax", "ymax")
    assert [root.findtext(f"object/bndbox/{tag}") for tag in edges] == ["1", "1", "200", "100"]


def test_to_voc_rounds_to_whole_pixels_within_the_image():
    boxes = [[-3, 9.6, 20.4, 300], [5, 5, 5.2, 50]]  # the second covers no pixel
    root = ET.fromstring(detections(boxes, (0.9, 0.8), (0, 0)).to_voc("street.jpg"))
    assert [[edge.text for edge in box] for box in root.iter("bndbox")] == [
        ["1", "11", "20", "100"]
    ]


@pytest.mark.parametrize("name", ["<script>&amp;</x>", 'a"b', "]]>", "日本", "тест"])
def test_to_voc_keeps_every_letter_of_a_name(name):
    text = detections(labels=(0, 0), names=(name,)).to_voc(f"{name}.jpg")
    root = ET.fromstring(text)
    assert root.findtext("object/name") == name
    assert root.findtext("filename") == f"{name}.jpg"


def test_to_voc_replaces_what_no_xml_can_hold():
    text = detections(labels=(0, 0), names=("a\x00b\x1b\ud800",)).to_voc("street.jpg")
    assert ET.fromstring(text).findtext("object/name") == "a\ufffdb\ufffd\ufffd"


def test_to_dict_survives_json_without_losing_a_bit():
    found = detections([[0.1, 1 / 3, 33.3, 99.99]], [0.87], [1])
    text = json.dumps(found.to_dict())
    assert re.search(r'"score": 0.87, "box": \[0.1, 0.33333334, 33.3, 99.99\]', text)
    back = json.loads(text)
    assert (back["source"], back["image_size"]) == ("street.jpg", [100, 200])
    (one,) = back["detections"]
    assert (one["label"], one["name"]) == (1, "traffic light")
    assert np.array_equal(np.array([one["box"]], np.float32), found.boxes)


def test_nothing_found_converts_to_nothing():
    assert nothing().to_coco(1) == []
    assert nothing().to_yolo() == ""
    assert nothing().to_dict()["detections"] == []
    assert ET.fromstring(nothing().to_voc("street.jpg")).find("object") is None
