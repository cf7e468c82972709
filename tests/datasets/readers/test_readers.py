"""Every format gives the same data set, found by what is there, with the splits it names."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_sets import (
    BOXES,
    NAMES,
    coco_content,
    voc_annotation,
    voc_object,
    write_coco,
    write_darknet,
    write_images,
    write_voc,
    write_yolo,
)

from scantling.datasets.readers import (
    READERS,
    describe_dataset,
    detect_format,
    list_splits,
    read_dataset,
)
from scantling.errors import InvalidData, UnknownName
from scantling.images.headers import Header

WRITERS = {"coco": write_coco, "yolo": write_yolo, "darknet": write_darknet, "voc": write_voc}


def test_every_format_has_a_small_data_set_here():
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_data_set_is_detected_and_read(name: str, tmp_path: Path):
    source = WRITERS[name](tmp_path)
    assert detect_format(source) == name
    dataset = read_dataset(source)
    assert dataset.format == name
    assert dataset.names == NAMES
    assert [image.path.name for image in dataset.images] == ["a.png", "b.png"]
    assert [image.size for image in dataset.images] == [(80, 100), (40, 40)]
    np.testing.assert_allclose(dataset.objects.boxes, BOXES, atol=1e-9)
    assert dataset.objects.labels.tolist() == [0, 1]
    assert dataset.objects.image_index.tolist() == [0, 0]
    assert [finding.code for finding in dataset.findings] == ["W221"]
    assert "2 images, 2 objects, 2 classes, 1 image without objects" in describe_dataset(dataset)


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_lost_of_what_only_one_format_has(name: str, tmp_path: Path):
    dataset = read_dataset(WRITERS[name](tmp_path))
    assert dataset.objects.crowd.tolist() == [False, name == "coco"]
    assert dataset.objects.difficult.tolist() == [False, name == "voc"]
    assert dataset.objects.areas.tolist() == pytest.approx(
        [900.5 if name == "coco" else 1600, 8000]
    )
    assert dataset.category_ids == ((3, 18) if name == "coco" else (0, 1))
    assert dataset.images[0].image_id == (7 if name == "coco" else "a")


def test_a_folder_with_one_yaml_or_data_file_stands_for_it(tmp_path: Path):
    for name, writer in (("yolo", write_yolo), ("darknet", write_darknet)):
        folder = tmp_path / name
        writer(folder)
        assert detect_format(folder) == name
        assert len(read_dataset(folder).objects) == 2


def test_two_formats_in_one_folder_are_an_error_that_names_both(tmp_path: Path):
    write_yolo(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "val.json").write_text("{}")
    with pytest.raises(InvalidData, match=r"coco, yolo.*format coco or yolo"):
        read_dataset(tmp_path)
    assert len(read_dataset(tmp_path, format="yolo")) == 2


def test_a_source_that_is_nothing_says_what_would_be_something(tmp_path: Path):
    with pytest.raises(InvalidData, match=r"E110.*no data set.*annotations.*data\.yaml"):
        read_dataset(tmp_path)
    with pytest.raises(InvalidData, match="E101 there is no such file") as caught:
        read_dataset(tmp_path / "nowhere")
    assert [finding.code for finding in caught.value.findings] == ["E101"]
    with pytest.raises(InvalidData, match="E101"):
        read_dataset("a\0b")
    with pytest.raises(UnknownName, match="yolo"):
        read_dataset(tmp_path, format="yollo")


def test_the_split_is_val_then_test_then_the_only_one(tmp_path: Path):
    write_voc(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    for name in ("train", "test", "cat_train", "my_own"):
        (lists / f"{name}.txt").write_text("a\n")
    assert list_splits(tmp_path) == ("my_own", "test", "train", "val")  # cat_train is of one class
    assert read_dataset(tmp_path).split == "val"
    (lists / "val.txt").unlink()
    assert read_dataset(tmp_path).split == "test"
    (lists / "test.txt").unlink()
    with pytest.raises(InvalidData, match=r"several splits\. Choose one of my_own, train"):
        read_dataset(tmp_path)
    with pytest.raises(InvalidData, match=r"no split 'trian'; did you mean 'train'\?"):
        read_dataset(tmp_path, split="trian")
    (lists / "my_own.txt").unlink()
    assert read_dataset(tmp_path).split == "train"


def test_a_split_is_found_by_how_it_begins(tmp_path: Path):
    write_coco(tmp_path)
    assert list_splits(tmp_path) == ("val2017",)
    assert read_dataset(tmp_path, split="val").split == "val2017"
    (tmp_path / "annotations" / "instances_val2014.json").write_text("{}")
    with pytest.raises(InvalidData, match="val2014, val2017"):
        read_dataset(tmp_path, split="val")


def test_classes_agree_between_the_splits_of_a_voc_folder(tmp_path: Path):
    write_voc(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("b\n")
    assert read_dataset(tmp_path, split="train").names == NAMES
    (tmp_path / "classes.txt").write_text("dog\ncat\nbird\n")
    dataset = read_dataset(tmp_path, split="val")
    assert dataset.names == ("dog", "cat", "bird")
    assert dataset.objects.labels.tolist() == [1, 0]


def test_a_voc_folder_without_lists_is_one_split_and_the_only_year_is_found(tmp_path: Path):
    root = write_voc(tmp_path / "VOCdevkit" / "VOC2007")
    (root / "ImageSets" / "Main" / "val.txt").unlink()
    for source in (root, tmp_path, tmp_path / "VOCdevkit"):
        assert list_splits(source) == ("all",)
        assert len(read_dataset(source)) == 2
    (tmp_path / "VOCdevkit" / "VOC2012" / "Annotations").mkdir(parents=True)
    with pytest.raises(InvalidData, match="VOC2007, VOC2012"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("place", ["annotations", ".", "images", "val", "images/val", "val2017"])
def test_a_coco_file_finds_its_images_where_people_put_them(place: str, tmp_path: Path):
    file = tmp_path / "annotations" / "instances_val2017.json"
    write_images(tmp_path / place.replace("val", "val2017").replace("20172017", "2017"))
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(coco_content()))
    dataset = read_dataset(file)
    assert not dataset.errors
    assert all(image.path.is_file() for image in dataset.images)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("images/val", 2),
        ("../images/val", 2),  # as Roboflow writes it
        ("list.txt", 1),
        ("images/*/a.*", 1),
        ("[images/val/a.png, images/val/b.png]", 2),
        ("[images/val, list.txt]", 2),  # `a` twice
    ],
)
def test_a_yolo_split_is_a_folder_list_pattern_or_several(value: str, count: int, tmp_path: Path):
    file = write_yolo(tmp_path)
    (tmp_path / "list.txt").write_text("\n./images/val/a.png\r\n")
    file.write_text(f"download: rm -rf /\nval: {value}\nnames:\n  0: cat\n  1: dog\nnc: 2\n")
    dataset = read_dataset(file)
    assert len(dataset) == count
    assert len(dataset.objects) == 2


def test_labels_lie_where_the_last_images_folder_is_exchanged_or_beside(tmp_path: Path):
    root = tmp_path / "images" / "set"
    write_yolo(root)
    assert len(read_dataset(root).objects) == 2  # …/images/set/images/val → …/images/set/labels/val
    beside = tmp_path / "beside"
    write_images(beside)
    (beside / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (beside / "data.yaml").write_text("val: .\nnames: [cat]\n")
    dataset = read_dataset(beside)
    assert dataset.objects.boxes.tolist() == [[25, 20, 75, 60]]
    assert [finding.code for finding in dataset.findings] == ["W219"]


def test_names_of_yaml_stay_the_text_that_was_written(tmp_path: Path):
    file = write_yolo(tmp_path)
    file.write_text("val: images/val\nnames: [no, 1.10]\n")
    assert read_dataset(file).names == ("no", "1.10")


def test_the_fixed_data_file_of_darknet_may_name_a_sixth_value(tmp_path: Path):
    source = write_darknet(tmp_path, "0 0.3 0.5 0.4 0.5 17\n")
    dataset = read_dataset(source)
    assert dataset.split == "val"
    np.testing.assert_allclose(dataset.objects.boxes, BOXES[:1])


def test_images_of_one_name_in_two_folders_have_two_ids(tmp_path: Path):
    file = write_yolo(tmp_path)
    write_images(tmp_path / "images" / "more")
    file.write_text("val: [images/val, images/more]\nnames: [cat, dog]\n")
    ids = [image.image_id for image in read_dataset(file).images]
    assert ids == ["val/a.png", "val/b.png", "more/a.png", "more/b.png"]


def test_an_image_turned_by_its_exif_has_its_upright_size(tmp_path: Path):
    file = write_yolo(tmp_path)
    dataset = read_dataset(file, read_header=lambda _: Header("JPEG", (100, 80), 6))
    assert dataset.images[0].size == (80, 100)
    np.testing.assert_allclose(dataset.objects.boxes, BOXES)


def test_decimal_coordinates_of_voc_are_read(tmp_path: Path):
    root = write_voc(tmp_path, voc_annotation(voc_object(box=(11.5, 21.25, "5e1", 60.0))))
    assert read_dataset(root).objects.boxes.tolist() == [[10.5, 20.25, 50, 60]]
