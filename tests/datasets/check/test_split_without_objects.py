"""A split without a single object is refused, with where its labels were looked for."""

from pathlib import Path

import pytest
from clean_sets import LAYOUTS, clean_content, write_files

from scantling.datasets.check import require_objects
from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData


def refusal(folder: Path, split: str = "val", **options: str) -> str:
    dataset = read_dataset(folder, split=split, **options)
    with pytest.raises(InvalidData, match="E115") as caught:
        require_objects(dataset)
    assert [finding.code for finding in caught.value.findings] == ["E115"]
    return str(caught.value)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    return write_files(LAYOUTS["yolo"].files(clean_content()), tmp_path)


def test_a_folder_of_labels_with_another_name_is_named(yolo: Path):
    (yolo / "labels").rename(yolo / "my_labels")
    told = refusal(yolo)
    assert "'val' has 2 images and not one object" in told
    assert repr(str(yolo / "labels" / "val" / "p10.txt")) in told
    assert f"2 .txt files named as its images lie in {str(yolo / 'my_labels' / 'val')!r}" in told
    assert f"Rename that folder: {str(yolo / 'labels' / 'val')!r} is where they belong" in told


def test_images_whose_path_has_no_images_in_it_are_told_so(yolo: Path):
    (yolo / "images").rename(yolo / "pictures")
    text = (yolo / "data.yaml").read_text().replace("images/", "pictures/")
    (yolo / "data.yaml").write_text(text)
    told = refusal(yolo)
    assert repr(str(yolo / "pictures" / "val" / "p10.txt")) in told
    assert "2 .txt files named as its images lie in" in told
    assert "Move these files beside the images; or put the images into a folder called" in told


def test_annotations_of_another_format_are_named_by_their_kind(yolo: Path):
    for label in sorted((yolo / "labels" / "val").iterdir()):
        label.rename(yolo / "images" / "val" / f"{label.stem}.xml")
    told = refusal(yolo)
    assert f"2 .xml files named as its images lie in {str(yolo / 'images' / 'val')!r}" in told
    assert "If these are VOC annotations, give the data in that format" in told


def test_empty_label_files_are_said_to_be_empty(yolo: Path):
    for label in (yolo / "labels" / "val").iterdir():
        label.write_text("")
    assert "its label files, such as '" in refusal(yolo)


def test_objects_that_all_have_errors_are_counted_by_code(yolo: Path):
    for label in (yolo / "labels" / "val").iterdir():
        label.write_text("0 nan 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    told = refusal(yolo)
    assert "not one object that can be used, with errors in the data: 2 × E203, 2 × E206" in told


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_split_of_every_format_with_objects_is_accepted(tmp_path: Path, kind: str):
    folder = write_files(LAYOUTS[kind].files(clean_content()), tmp_path)
    require_objects(read_dataset(folder, split="val"))


def test_voc_and_coco_say_what_they_lack(tmp_path: Path):
    voc = write_files(LAYOUTS["voc"].files(clean_content()), tmp_path / "voc")
    for stem in ("p10", "p11"):
        (voc / "Annotations" / f"{stem}.xml").rename(voc / f"{stem}.xml")
    told = refusal(voc)
    assert repr(str(voc / "Annotations" / "p10.xml")) in told
    assert f"2 .xml files named as its images lie in {str(voc)!r}" in told
    content = clean_content()
    bare = tuple(one.with_things() for one in content.splits["val"])
    content.splits["val"], before = bare, content.splits["val"]
    try:
        coco = write_files(LAYOUTS["coco"].files(content), tmp_path / "coco")
    finally:
        content.splits["val"] = before
    assert "none of its annotations is of one of its images" in refusal(coco)
