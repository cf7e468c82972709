"""What is written, read by libraries that we did not write: they see the same boxes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
import yaml

from labelled import make_dataset
from scantling.datasets.dataset import Dataset
from scantling.datasets.writers import write_dataset

if TYPE_CHECKING:
    from supervision import DetectionDataset

ROWS = [
    (0, 1, [10, 20, 50, 70]),
    (0, 0, [0.25, 0.5, 120, 80]),
    (2, 1, [33.3, 44.4, 55.5, 66.6]),
    (2, 2, [1, 2, 3, 4]),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three images, of which one shows nothing, and three classes."""
    return make_dataset(
        tmp_path / "made",
        ROWS,
        names=("cat", "dog", "no"),
        files=("one.jpg", "two.png", "three.jpg"),
        crowd=[1],
        difficult=[3],
        areas=[2000, 123.5, 400, 4],
    )


def boxes_by_image(found: "DetectionDataset") -> dict[str, list[tuple[str, list[float]]]]:
    """Class and box of each object, by file name."""
    return {
        Path(path).name: [
            (str(found.classes[label]), box)
            for label, box in zip(
                annotations.class_id.tolist(), annotations.xyxy.tolist(), strict=True
            )
        ]
        for path, _, annotations in found
    }


def assert_same(found: "DetectionDataset", dataset: Dataset, *, within: float) -> None:
    seen = boxes_by_image(found)
    assert set(seen) == {image.path.name for image in dataset.images}
    for index, image in enumerate(dataset.images):
        objects = dataset.objects_of(index)
        expected = [dataset.names[label] for label in objects.labels.tolist()]
        assert [name for name, _ in seen[image.path.name]] == expected
        boxes = np.array([box for _, box in seen[image.path.name]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, objects.boxes, atol=within)


def test_supervision_reads_the_yolo_files(dataset: Dataset, tmp_path: Path):
    from supervision import DetectionDataset

    out = tmp_path / "out"
    write_dataset({"train": dataset}, out, to="yolo")
    found = DetectionDataset.from_yolo(
        str(out / "images/train"), str(out / "labels/train"), str(out / "data.yaml")
    )
    assert_same(found, dataset, within=1e-4)  # it reads into single precision


def test_supervision_reads_the_voc_files_to_whole_pixels(dataset: Dataset, tmp_path: Path):
    from supervision import DetectionDataset

    out = tmp_path / "out"
    write_dataset({"train": dataset}, out, to="voc")
    found = DetectionDataset.from_pascal_voc(str(out / "JPEGImages"), str(out / "Annotations"))
    assert_same(found, dataset, within=0.5001)


def test_supervision_reads_the_coco_file(dataset: Dataset, tmp_path: Path):
    from supervision import DetectionDataset

    out = tmp_path / "out"
    write_dataset({"train": dataset}, out, to="coco")
    found = DetectionDataset.from_coco(
        str(out / "train"), str(out / "annotations/instances_train.json")
    )
    assert_same(found, dataset, within=1e-4)


def test_pycocotools_reads_the_coco_file_with_flags_and_areas(dataset: Dataset, tmp_path: Path):
    from pycocotools.coco import COCO

    write_dataset({"train": dataset}, tmp_path / "out", to="coco")
    coco = COCO(str(tmp_path / "out/annotations/instances_train.json"))
    annotations = coco.loadAnns(coco.getAnnIds())
    assert [one["iscrowd"] for one in annotations] == [0, 1, 0, 0]
    assert [one.get("difficult", 0) for one in annotations] == [0, 0, 0, 1]
    assert [one["area"] for one in annotations] == [2000, 123.5, 400, 4]
    assert annotations[2]["bbox"] == [33.3, 44.4, 22.2, 22.2]
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["cat", "dog", "no"]
    assert min(coco.getAnnIds()) == 1
    assert sorted(coco.getImgIds()) == [1, 2, 3]
    assert coco.loadImgs(3)[0] == {"id": 3, "file_name": "three.jpg", "width": 120, "height": 80}


def test_opencv_decodes_every_image_that_was_placed(dataset: Dataset, tmp_path: Path):
    for mode in ("link", "copy", "symlink"):
        write_dataset({"train": dataset}, tmp_path / mode, to="yolo", images=mode)
        for name in ("one.jpg", "two.png", "three.jpg"):
            image = cv2.imread(str(tmp_path / mode / "images/train" / name))
            assert image.shape == (80, 120, 3)


def test_voc_counts_pixels_from_one_and_keeps_difficult(dataset: Dataset, tmp_path: Path):
    write_dataset({"train": dataset}, tmp_path / "out", to="voc")
    root = ET.parse(tmp_path / "out/Annotations/three.xml").getroot()
    assert root.findtext("filename") == "three.jpg"
    assert [root.findtext(f"size/{what}") for what in ("width", "height", "depth")] == [
        "120",
        "80",
        "3",
    ]
    boxes = [[int(value.text) for value in box] for box in root.iter("bndbox")]
    assert boxes == [[34, 45, 56, 67], [2, 3, 3, 4]]
    assert [one.text for one in root.iter("difficult")] == ["0", "1"]
    assert ET.parse(tmp_path / "out/Annotations/two.xml").getroot().find("object") is None
    listed = (tmp_path / "out/ImageSets/Main/train.txt").read_text()
    assert listed == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    "name", ["no", "1", "a: b", "#x", "~", "2024-01-01", "'", '"', "ключ", "- y"]
)
def test_any_class_name_is_read_back_as_that_text(name: str, tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [(0, 0, [1, 2, 30, 40])], names=(name, "other"))
    for to in ("yolo", "coco", "voc", "darknet"):
        write_dataset({"train": dataset}, tmp_path / to, to=to)
    data = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text("utf-8"))
    assert data == {"train": "images/train", "nc": 2, "names": {0: name, 1: "other"}}
    coco = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text("utf-8"))
    assert coco["categories"][0]["name"] == name
    root = ET.parse(tmp_path / "voc/Annotations/a.xml").getroot()
    assert root.findtext("object/name") == name
    assert (tmp_path / "darknet/darknet.names").read_text("utf-8").split("\n")[0] == name
