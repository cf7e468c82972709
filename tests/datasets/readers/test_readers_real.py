"""Real data sets: as many images and objects as counting their files by other means gives."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData


def test_coco_first_128_says_where_its_images_are(assets: Path):
    with pytest.raises(
        InvalidData, match=r"E106.*'images/val2017' is not there.*write `val: images`"
    ):
        read_dataset(assets / "datasets" / "coco-val2017-first128")


@pytest.mark.usefixtures("real_assets")
def test_coco_first_128_has_the_objects_of_its_lines(assets: Path, tmp_path: Path):
    folder = assets / "datasets" / "coco-val2017-first128"
    names = "".join(f"  {place}: class {place}\n" for place in range(80))
    file = tmp_path / "data.yaml"
    file.write_text(f"path: {folder}\nval: images\nnames:\n{names}")
    dataset = read_dataset(file)
    rows = [
        (int(path.stem), *map(float, line.split()))
        for path in sorted(folder.glob("labels/*.txt"))
        for line in path.read_text().splitlines()
    ]
    assert (len(dataset), len(dataset.objects), len(rows)) == (128, 898, 898)
    index = dataset.objects.image_index
    ids = np.array([image.image_id for image in dataset.images])[index]
    size = np.array([image.size for image in dataset.images])[index][:, ::-1]
    boxes = dataset.objects.boxes
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2 / size, (boxes[:, 2:] - boxes[:, :2]) / size
    found = np.column_stack([ids, dataset.objects.labels, centre, sides])
    np.testing.assert_allclose(found, rows, atol=1e-12)
    assert not dataset.errors


@pytest.mark.usefixtures("real_assets")
@pytest.mark.parametrize(("split", "count"), [("train", 205), ("val", 87), ("test", 72)])
def test_bccd_has_the_objects_of_its_annotations(assets: Path, split: str, count: int):
    root = assets / "datasets" / "bccd"
    dataset = read_dataset(root, split=split)
    stems = (root / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
    expected = []
    for stem in stems:
        for item in ET.parse(root / "Annotations" / f"{stem}.xml").iter("object"):
            box = [
                int(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
            ]
            expected.append([box[0] - 1, box[1] - 1, *box[2:]])
    assert len(dataset) == len(stems) == count
    assert dataset.objects.boxes.tolist() == expected
    assert dataset.names == ("Platelets", "RBC", "WBC")
    assert {finding.code for finding in dataset.findings} <= {
        "W232"
    }  # two clicks that were not drags


def test_coco_reference_annotations_agree_with_pycocotools(assets: Path):
    pycocotools = pytest.importorskip("pycocotools.coco")
    files = sorted((assets / "refs").rglob("instances_*.json"))
    dataset = read_dataset(files[0])
    coco = pycocotools.COCO(str(files[0]))
    content = json.loads(files[0].read_text())
    assert len(dataset) == len(content["images"])
    for index in range(0, len(dataset), max(1, len(dataset) // 50)):
        objects = dataset.objects_of(index)
        known = coco.loadAnns(coco.getAnnIds(imgIds=[dataset.images[index].image_id]))
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (item["bbox"] for item in known)]
        assert objects.boxes.tolist() == boxes
        assert objects.areas.tolist() == [item["area"] for item in known]
