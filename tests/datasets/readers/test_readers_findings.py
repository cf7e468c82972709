"""What is wrong with a label is found under its code and place; only that object is left out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from small_sets import (
    coco_content,
    voc_annotation,
    voc_object,
    write_coco,
    write_darknet,
    write_voc,
    write_yolo,
)

from scantling.datasets.dataset import Dataset
from scantling.datasets.findings import MAX_PER_CODE, Finding
from scantling.datasets.readers import read_dataset
from scantling.datasets.readers.table import find_duplicate_boxes
from scantling.errors import InvalidData

GOOD = "0 0.3 0.5 0.4 0.5"


def found(dataset: Dataset) -> list[Finding]:
    """The findings but for the image without objects, which every small set has."""
    return [finding for finding in dataset.findings if finding.code != "W221"]


@pytest.mark.parametrize("writer", [write_yolo, write_darknet])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1 0.5 0.5 0.2", "E201"),
        ("1 0.5 x0.5 0.2 0.2", "E202"),
        ("1 0.5 nan 0.2 0.2", "E203"),
        ("1 0.5 0.5 1e999 0.2", "E203"),
        ("1 0,5 0,5 0,2 0,2", "E204"),
        ("dog 0.5 0.5 0.2 0.2", "E205"),
        ("0.5 0.5 0.5 0.2 0.2", "E205"),
        ("2 0.5 0.5 0.2 0.2", "E206"),
        ("-1 0.5 0.5 0.2 0.2", "E206"),
        ("1 0.5 0.5 0.2 0", "E207"),
        ("1 0.5 0.5 0.2 -0.2", "E208"),
        ("1 1.4 0.5 0.2 0.2", "E210"),
        ("1 30 40 20 20", "E212"),
    ],
)
def test_a_bad_line_leaves_its_object_out(writer, line: str, code: str, tmp_path: Path):
    dataset = read_dataset(writer(tmp_path, f"{GOOD}\n\n{line}\n"))
    assert [(one.code, one.line, one.file.name) for one in found(dataset)] == [(code, 3, "a.txt")]
    assert dataset.objects.boxes == pytest.approx(np.array([[10, 20, 50, 60]]))


def test_an_edge_half_a_pixel_beyond_the_image_is_rounding_and_more_is_told(tmp_path: Path):
    beyond = "1 0.5 0.5 1.0099 1\n0 0.5 0.5 -0.0 1\n0 -0.0 0.5 1 1\n1 0.5 0.5 1.0102 0.9\n"
    dataset = read_dataset(write_yolo(tmp_path, beyond))
    told = [(one.code, one.line) for one in found(dataset)]
    assert told == [("E207", 2), ("W211", 3), ("W211", 4)]
    assert dataset.objects.boxes[0] == pytest.approx([-0.495, 0, 100.495, 80])  # as it was written


def test_outlines_are_reduced_to_boxes_and_counted_by_file(tmp_path: Path):
    lines = (
        "0 0.1 0.25 0.5 0.5 0.3 0.75",
        "1 0.5 0.5 0.6 0.5 0.6 0.7 0.5 0.6",
        "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7",
    )
    text = "\n".join(lines)
    dataset = read_dataset(write_yolo(tmp_path, text))
    assert [(one.code, one.line) for one in found(dataset)] == [("E217", 3), ("W216", 1)]
    assert dataset.objects.boxes == pytest.approx(np.array([[10, 20, 50, 60], [50, 40, 60, 56]]))


def test_labels_that_cannot_be_text_are_told_and_the_rest_goes_on(tmp_path: Path):
    for data, code in ((GOOD.encode("utf-16"), "E102"), (b"\xff\xfe\x00", "E102"),
                       (b"0 0.5 0.5 0.5 0.5\n" * 100_001, "E230")):  # fmt: skip
        folder = tmp_path / str(len(data))
        dataset = read_dataset(write_yolo(folder, data))
        assert [one.code for one in found(dataset)] == [code]
        assert len(dataset) == 2
    folder = tmp_path / "mark"
    assert len(read_dataset(write_yolo(folder, b"\xef\xbb\xbf" + GOOD.encode())).objects) == 1


def test_an_image_that_cannot_be_used_is_told_by_what_it_is(tmp_path: Path):
    file = write_yolo(tmp_path)
    folder = tmp_path / "images" / "val"
    (folder / "b.png").write_bytes(b"")
    (folder / "c.jpg").write_text("no image")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:30])
    codes = [(one.code, one.file.name) for one in found(read_dataset(file))]
    assert codes == [("E302", "b.png"), ("E303", "c.jpg"), ("W219", "c.txt"), ("E304", "d.png"),
                     ("W219", "d.txt")]  # fmt: skip


def test_files_without_a_partner_are_told_on_both_sides(tmp_path: Path):
    file = write_yolo(tmp_path)
    labels = tmp_path / "labels" / "val"
    (labels / "b.txt").rename(labels / "other.txt")
    (labels / "classes.txt").write_text("cat\n")
    told = [(one.code, one.file.name) for one in found(read_dataset(file))]
    assert told == [("W219", "b.txt"), ("W220", "other.txt")]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (voc_object(name=""), "E201"),
        ("<object><name>cat</name></object>", "E201"),
        (voc_object(box=("left", 2, 3, 4)), "E202"),
        (voc_object(box=("nan", 2, 3, 4)), "E203"),
        (voc_object(box=("1,5", 2, 3, 4)), "E204"),
        (voc_object(box=(50, 60, 11, 21)), "E209"),
        (voc_object(box=(120, 10, 150, 20)), "E210"),
        (voc_object(box=(0.1, 0.2, 0.5, 0.6)), "E212"),
        (voc_object(rest="<difficult>2</difficult>"), "E228"),
    ],
)
def test_a_bad_object_of_voc_is_left_out(item: str, code: str, tmp_path: Path):
    good = voc_object("dog", (1, 1, 100, 80))
    root = write_voc(tmp_path, voc_annotation(good, item))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    dataset = read_dataset(root)
    assert [(one.code, one.line, one.file.name) for one in found(dataset)] == [(code, 5, "a.xml")]
    assert dataset.objects.boxes.tolist() == [[0, 0, 100, 80]]


def test_what_voc_alone_can_have_wrong_is_told(tmp_path: Path):
    text = voc_annotation(voc_object(box=(0, 1, 50, 60)), filename="other.png", size="")
    dataset = read_dataset(write_voc(tmp_path, text))
    assert {one.code for one in found(dataset)} == {"E223", "W226", "W227"}
    assert dataset.images[0].size == (80, 100)  # of the file
    assert dataset.objects.boxes.tolist() == [[-1, 0, 50, 60]]
    (tmp_path / "classes.txt").write_text("dog\n")
    told = [one for one in found(read_dataset(tmp_path)) if one.code == "E206"]
    assert [one.message for one in told] == ["there is no class 'cat'"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bbox": [1, 2, 3]}, "E201"),
        ({"image_id": None}, "E201"),
        ({"bbox": [1, "2", 3, 4]}, "E202"),
        ({"bbox": [1, float("nan"), 3, 4]}, "E203"),
        ({"bbox": [1, 10**400, 3, 4]}, "E203"),
        ({"bbox": "1,2,3,4"}, "E204"),
        ({"category_id": "3"}, "E205"),
        ({"category_id": 4}, "E206"),
        ({"bbox": [1, 2, 0, 4]}, "E207"),
        ({"bbox": [5, 6, -3, 4]}, "E208"),
        ({"bbox": [200, 10, 5, 5]}, "E210"),
        ({"bbox": [0.1, 0.2, 0.3, 0.3]}, "E212"),
        ({"bbox": [60, 40, 90, 70]}, "E212"),
        ({"segmentation": [[1, 2, 3, 4]]}, "E217"),
        ({"image_id": 8}, "E218"),
        ({"image_id": [7]}, "E218"),
        ({"iscrowd": "yes"}, "E228"),
        ({"id": 1}, "E229"),
    ],
)
def test_a_bad_annotation_of_coco_is_left_out(change: dict, code: str, tmp_path: Path):
    content = json.loads(json.dumps(coco_content()))
    content["annotations"][1].update({"iscrowd": 0} | change)
    root = write_coco(tmp_path, content, indent=1)
    dataset = read_dataset(root)
    lines = json.dumps(content, indent=1).split("\n")
    starts = [n for n, text in enumerate(lines, start=1) if text == "  {"]
    told = [(one.code, one.item, one.line) for one in found(dataset)]
    assert told == [(code, "annotations[1]", starts[-1])]
    assert dataset.objects.boxes.tolist() == [[10, 20, 50, 60]]


def test_bad_images_of_coco_are_told(tmp_path: Path):
    content = coco_content()
    content["images"] += [
        {"id": 7, "file_name": "c.png", "width": 5, "height": 5},
        {"id": 10, "file_name": "../secret.png", "width": 5, "height": 5},
        {"id": 11, "file_name": "/etc/passwd", "width": 5, "height": 5},
        {"id": 12, "file_name": "gone.png", "width": 5, "height": 5},
        {"id": 13, "file_name": "b.png", "width": "x", "height": 5},
        {"file_name": "b.png"},
    ]
    content["annotations"] += [
        {"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 1, 2, 2]}  # goes with its image
    ]
    dataset = read_dataset(write_coco(tmp_path, content | {"anotations": []}))
    told = [(one.code, one.item) for one in found(dataset)]
    assert told == [
        ("W111", ""), ("E112", "images[2]"), ("E104", "images[3]"), ("E104", "images[4]"),
        ("E301", "images[5]"), ("W114", "images[6]"), ("E223", "images[6]"), ("E110", "images[7]"),
    ]  # fmt: skip
    assert [image.image_id for image in dataset.images] == [7, 9, 12, 13]
    assert dataset.images[3].size == (40, 40)
    assert len(dataset.objects) == 2


def test_areas_that_cannot_be_are_told_and_kept(tmp_path: Path):
    content = coco_content()
    content["annotations"][0]["area"] = 5_000.0
    dataset = read_dataset(write_coco(tmp_path, content))
    assert [one.code for one in found(dataset)] == ["W231"]
    assert dataset.objects.areas.tolist() == [5_000, 8_000]


def test_objects_that_are_there_twice_are_told(tmp_path: Path):
    text = f"{GOOD}\n{GOOD}\n0 0.301 0.5 0.4 0.5\n1 0.3 0.5 0.4 0.5\n1 0.7 0.5 0.1 0.1\n"
    dataset = read_dataset(write_yolo(tmp_path, text))
    told = [(one.code, one.line) for one in found(dataset)]
    assert told == [("W213", 2), ("W214", 3), ("W215", 4)]
    assert len(dataset.objects) == 5


def test_twins_are_those_that_comparing_all_with_all_finds():
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 6, (300, 2)) * 3.0
    boxes = np.concatenate([corner, corner + rng.integers(20, 23, (300, 2)) * 5], axis=1)
    image = np.sort(rng.integers(0, 8, 300))
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    shared = np.clip(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low, 0, None).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    iou = shared / (area[:, None] + area[None] - shared)
    expected = np.argwhere(np.triu((iou >= 0.95) & (image[:, None] == image[None]), 1))
    pairs = (side.tolist() for side in find_duplicate_boxes(boxes, image))
    found_pairs = sorted(zip(*pairs, strict=True))
    assert len(expected) > 20
    assert found_pairs == [tuple(pair) for pair in expected.tolist()]


def test_a_flood_of_findings_is_counted_not_listed(tmp_path: Path):
    dataset = read_dataset(write_yolo(tmp_path, "7 0.5 0.5 0.1 0.1\n" * 5_000))
    told = [one for one in dataset.findings if one.code == "E206"]
    assert len(told) == MAX_PER_CODE + 1
    assert told[-1].message.startswith("and 4,000 more")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("val: images/val\nnames: [cat, cat]\n", "E107"),
        ("val: images/val\nnames: [cat, '']\n", "E108"),
        ("val: images/val\nnames: {0: cat, 2: dog}\n", "E108"),
        ("val: images/val\n", "E110"),
        ("names: [cat]\n", "E110"),
        ("val: images/nowhere\nnames: [cat]\n", "E106"),
        ("val: labels\nnames: [cat]\n", "E105"),
        ("val: 'a\\0b'\nnames: [cat]\n", "E106"),
        ("val: '**/**/**'\nnames: [cat]\n", "E106"),
        ("val: [images/val\n", "E103"),
        ("- val\n", "E103"),
        ("val: &a images/val\nnames: [*a]\n", "E104"),
    ],
)
def test_what_makes_a_yaml_useless_is_raised_with_its_code(text: str, code: str, tmp_path: Path):
    file = write_yolo(tmp_path)
    file.write_text(text)
    with pytest.raises(InvalidData, match=code) as caught:
        read_dataset(file)
    assert caught.value.findings[-1].code == code


def test_what_is_odd_in_a_yaml_is_told_with_its_line(tmp_path: Path):
    file = write_yolo(tmp_path)
    file.write_text("val: images/val\nnc: 3\nnames: [big cat, Big_Cat]\ntrian: x\n")
    told = [(one.code, one.line) for one in found(read_dataset(file))]
    assert told == [("W113", None), ("E109", 2), ("W111", 4)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"images": []}, "E105"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "E107"),
        ({"categories": [{"id": 1, "name": " "}]}, "E108"),
        ({"categories": [{"id": 1}]}, "E108"),
        ({"categories": [{"id": "1", "name": "a"}]}, "E103"),
        ({"categories": []}, "E110"),
        ({"images": {}}, "E103"),
    ],
)
def test_what_makes_a_coco_file_useless_is_raised(change: dict, code: str, tmp_path: Path):
    with pytest.raises(InvalidData, match=code):
        read_dataset(write_coco(tmp_path, coco_content(**change)))


def test_pipes_are_never_opened(tmp_path: Path):
    file = write_yolo(tmp_path)
    label = tmp_path / "labels" / "val" / "a.txt"
    label.unlink()
    os.mkfifo(label)
    assert [one.code for one in found(read_dataset(file))] == ["E101"]
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InvalidData, match="E101 is a pipe"):
        read_dataset(file)
