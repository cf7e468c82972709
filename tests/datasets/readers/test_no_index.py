"""YOLO labels as tools export them without a file that describes them."""

import json
from pathlib import Path

import pytest
from small_sets import BOXES, write_images, write_png

from scantling.datasets.dataset import Dataset
from scantling.datasets.readers import detect_format, list_splits, read_dataset
from scantling.errors import InvalidData

LABELS = "0 0.3 0.5 0.4 0.5\n1 0.5 0.5 1 1\n"


def write(images: Path, labels: Path | None = None) -> None:
    write_images(images)
    labels = labels or images
    labels.mkdir(parents=True, exist_ok=True)
    (labels / "a.txt").write_text(LABELS)
    (labels / "b.txt").write_text("")


def write_names(path: Path, names: str = "cat\ndog") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(names)


def check(folder: Path, *splits: str) -> Dataset:
    """Every split is read as it was drawn, without a finding."""
    assert detect_format(folder) == "yolo"
    assert list_splits(folder) == splits
    for split in splits:
        dataset = read_dataset(folder, split=split)
        assert dataset.names == ("cat", "dog")
        assert [image.path.name for image in dataset.images] == ["a.png", "b.png"]
        assert dataset.objects.boxes.tolist() == [pytest.approx(box, abs=1e-9) for box in BOXES]
        assert {finding.code for finding in dataset.findings} <= {"W221"}
    return dataset


def test_roboflow_s_darknet_export(tmp_path: Path):
    for split in ("train", "valid", "test"):
        write(tmp_path / split)
        write_names(tmp_path / split / "_darknet.labels")
    check(tmp_path, "train", "val", "test")
    write_names(tmp_path / "test" / "_darknet.labels", "dog\ncat")
    with pytest.raises(InvalidData, match="E109 names other classes than"):
        read_dataset(tmp_path, split="train")


def test_labelimg_in_yolo_mode(tmp_path: Path):
    write(tmp_path)
    write_names(tmp_path / "classes.txt")
    check(tmp_path, "all")


def test_labelimg_with_a_folder_for_its_labels(tmp_path: Path):
    write(tmp_path / "images", tmp_path / "labels")
    write_names(tmp_path / "labels" / "classes.txt")
    check(tmp_path, "all")


def test_label_studio_s_yolo_export(tmp_path: Path):
    write(tmp_path / "images", tmp_path / "labels")
    write_names(tmp_path / "classes.txt")
    (tmp_path / "notes.json").write_text(json.dumps({"categories": [], "info": {}}))
    check(tmp_path, "all")


def test_splits_below_images_and_labels(tmp_path: Path):
    for split in ("train", "val"):
        write(tmp_path / "images" / split, tmp_path / "labels" / split)
    write_names(tmp_path / "obj.names")
    check(tmp_path, "train", "val")


def test_splits_with_images_and_labels_in_each(tmp_path: Path):
    for split in ("train", "valid"):
        write(tmp_path / split / "images", tmp_path / split / "labels")
        write_names(tmp_path / split / "labels" / "classes.txt")
    check(tmp_path, "train", "val")


def test_lists_and_names_without_a_data_file(tmp_path: Path):
    write(tmp_path / "obj_train_data")
    write_names(tmp_path / "obj.names")
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text("obj_train_data/a.png\nobj_train_data/b.png\n")
    check(tmp_path, "train", "val")


def test_a_picture_called_classes_or_train_is_a_picture(tmp_path: Path):
    for name in ("classes", "train"):
        write_png(tmp_path / f"{name}.png", 100, 80)
        (tmp_path / f"{name}.txt").write_text(LABELS)
    write_names(tmp_path / "my.names")
    assert list_splits(tmp_path) == ("all",)
    dataset = read_dataset(tmp_path)
    assert [image.path.stem for image in dataset.images] == ["classes", "train"]
    assert len(dataset.objects) == 4


def refusal(folder: Path) -> str:
    with pytest.raises(InvalidData, match="E110") as caught:
        read_dataset(folder)
    return str(caught.value)


def test_what_lacks_is_said_with_what_to_write(tmp_path: Path):
    write(tmp_path / "yolo" / "pictures", tmp_path / "yolo" / "labels")
    told = refusal(tmp_path / "yolo")
    assert "there are .txt labels" in told
    assert "Write classes.txt with one class a line, or a data.yaml with `train: pictures`" in told
    write_images(tmp_path / "voc" / "train")
    (tmp_path / "voc" / "train" / "a.xml").write_text("<annotation/>")
    assert "put the images into JPEGImages and the .xml files into Annotations" in refusal(
        tmp_path / "voc"
    )
    write_images(tmp_path / "keras")
    (tmp_path / "keras" / "_annotations.txt").write_text("a.png 1,2,3,4,0\n")
    told = refusal(tmp_path / "keras")
    assert "with _annotations.txt, which is not read. Export the data as COCO, YOLO or VOC" in told
