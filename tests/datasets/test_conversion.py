"""Conversion there and back on real data sets: the same boxes, and a list of what was dropped."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from labelled import make_dataset
from scantling.datasets.conversion import convert_dataset
from scantling.datasets.dataset import Dataset
from scantling.datasets.readers import detect_format, list_splits, read_dataset
from scantling.datasets.writers import WRITERS, write_dataset
from scantling.errors import InvalidData, UnknownName


@pytest.fixture
def first128(assets: Path, tmp_path: Path) -> Path:
    """A `data.yaml` for the first images of COCO's validation set."""
    folder = assets / "datasets/coco-val2017-first128"
    names = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["names"]
    path = tmp_path / "first128.yaml"
    path.write_text(yaml.safe_dump({"path": str(folder), "val": "images", "names": names}))
    return path


def by_stem(dataset: Dataset) -> dict[str, list[tuple[str, list[float], bool, bool]]]:
    """Class, box and flags of each object, by the name of the image."""
    names = dataset.names
    return {
        image.path.stem: [
            (names[label], box, crowd, difficult)
            for label, box, crowd, difficult in zip(
                objects.labels.tolist(),
                objects.boxes.tolist(),
                objects.crowd.tolist(),
                objects.difficult.tolist(),
                strict=True,
            )
        ]
        for index, image in enumerate(dataset.images)
        for objects in [dataset.objects_of(index)]
    }


def assert_same(found: Dataset, expected: Dataset, *, within: float, flags: bool = True) -> None:
    seen, known = by_stem(found), by_stem(expected)
    assert seen.keys() == known.keys()
    for stem, rows in known.items():
        assert [row[0] for row in seen[stem]] == [row[0] for row in rows]
        boxes = (np.array([row[1] for row in part]).reshape(-1, 4) for part in (seen[stem], rows))
        np.testing.assert_allclose(*boxes, atol=within, rtol=0)
        if flags:
            assert [row[2:] for row in seen[stem]] == [row[2:] for row in rows]


def losses(conversion) -> dict[str, int | None]:
    return {loss.what: loss.count for loss in conversion.dropped}


def convert_on(source: Path, folder: Path, formats: tuple[str, ...]) -> list:
    """Convert from each format to the next; the conversions, in order."""
    done = []
    for to in formats:
        done.append(convert_dataset(source, folder / to, to=to))
        source = folder / to
    return done


@pytest.mark.usefixtures("real_assets")
def test_bccd_comes_through_every_format_with_the_same_boxes(assets: Path, tmp_path: Path):
    source = assets / "datasets/bccd"
    first = convert_dataset(source, tmp_path / "start", to="coco")
    assert [(one.split, one.images) for one in first.splits] == [
        ("test", 72),
        ("train", 205),
        ("trainval", 292),
        ("val", 87),
    ]
    assert losses(first) == {"what readers leave out": None, "image ids": 656}
    formats = ("yolo", "voc", "coco", "darknet")
    done = convert_on(tmp_path / "start", tmp_path, formats)
    expected = {split: read_dataset(source, split=split) for split in ("train", "val", "test")}
    for to, splits in {"yolo": 3, "voc": 3, "coco": 3, "darknet": 2}.items():
        assert detect_format(tmp_path / to) == to
        assert len(list_splits(tmp_path / to)) == splits
        for split in list_splits(tmp_path / to):
            found = read_dataset(tmp_path / to, split=split)
            assert {finding.code for finding in found.findings} <= {"W232"}
            # whole pixels at the start, so that even VOC rounds nothing
            assert_same(found, expected[split], within=1e-8)
    assert [losses(one) for one in done] == [
        {"what readers leave out": None, "splits": 1, "image ids": 364},
        {"ids and order of classes": 3},
        {"what readers leave out": None, "image ids": 364},
        {"what readers leave out": None, "names of splits": 1, "image ids": 364},
    ]


@pytest.mark.usefixtures("real_assets")
def test_first128_comes_through_yolo_and_coco_exactly_and_voc_to_rounding(
    first128: Path, tmp_path: Path
):
    from pycocotools.coco import COCO

    expected = read_dataset(first128)
    assert (len(expected), len(expected.objects)) == (128, 898)
    done = convert_on(first128, tmp_path, ("coco", "yolo", "darknet", "voc"))
    again = convert_dataset(tmp_path / "voc", tmp_path / "again", to="coco")
    assert_same(read_dataset(tmp_path / "coco"), expected, within=1e-8)
    # the labels have six digits, so that some boxes reach beyond their image by a hair
    assert losses(done[1])["boxes changed"] == 38
    assert_same(read_dataset(tmp_path / "yolo"), expected, within=4e-4)
    assert_same(read_dataset(tmp_path / "darknet"), read_dataset(tmp_path / "yolo"), within=1e-8)
    for to in ("voc", "again"):
        found = read_dataset(tmp_path / to)
        assert_same(found, expected, within=0.5 + 4e-4)
        assert set(found.names) == {
            expected.names[label] for label in set(expected.objects.labels.tolist())
        }
        assert not found.errors
    dropped = losses(done[-1])
    assert dropped["classes without objects"] == 80 - 73
    assert dropped["ids and order of classes"] == 80
    assert 800 < dropped["boxes changed"] <= 898
    coco = COCO(str(tmp_path / "again/annotations/instances_val.json"))
    assert (len(coco.getImgIds()), len(coco.getAnnIds()), len(coco.getCatIds())) == (128, 898, 73)
    assert losses(again) == {
        "what readers leave out": None
    }  # ids are told by the names of the files
    assert sorted(coco.getImgIds()) == sorted(image.image_id for image in expected.images)


def test_coco_to_yolo_to_coco_gives_the_same_numbers(first128: Path, tmp_path: Path):
    from pycocotools.coco import COCO

    convert_on(first128, tmp_path, ("yolo", "coco"))  # boxes are cut to their images by now
    convert_dataset(tmp_path / "coco", tmp_path / "shares", to="yolo")
    convert_dataset(tmp_path / "shares", tmp_path / "again", to="coco")
    boxes = []
    for folder in ("coco", "again"):
        coco = COCO(str(tmp_path / folder / "annotations/instances_val.json"))
        boxes.append([one["bbox"] for one in coco.loadAnns(coco.getAnnIds())])
    assert boxes[0] == boxes[1]


def test_coco_keeps_crowds_areas_ids_and_difficult_flags_through_itself(tmp_path: Path):
    rows = [(0, 0, [1.25, 2, 30, 40]), (0, 1, [5, 5, 50, 60]), (1, 1, [-3.5, 0, 60, 80])]
    made = make_dataset(
        tmp_path / "made", rows, crowd=[1], difficult=[2], areas=[900, 50.5, 77],
        format="coco", category_ids=(7, 90),
    )  # fmt: skip
    write_dataset({"val": made}, tmp_path / "coco", to="coco")
    convert_dataset(tmp_path / "coco", tmp_path / "again", to="coco")
    found = read_dataset(tmp_path / "again")
    assert_same(found, made, within=0)
    assert found.objects.areas.tolist() == [900, 50.5, 77]
    assert found.category_ids == (7, 90)


@pytest.mark.parametrize("to", WRITERS)
def test_difficult_flags_are_kept_by_coco_and_voc_and_told_by_the_others(to: str, tmp_path: Path):
    made = make_dataset(tmp_path / "made", [(0, 0, [1, 2, 30, 40])], difficult=[0])
    write_dataset({"val": made}, tmp_path / "voc", to="voc")
    done = convert_dataset(tmp_path / "voc", tmp_path / "out", to=to)
    kept = read_dataset(tmp_path / "out").objects.difficult.tolist()
    assert kept == [to in ("coco", "voc")]
    assert losses(done).get("difficult flags") == (None if to == "voc" else 1)


@pytest.mark.parametrize(
    "name", ["no", "1", "1.0", "a: b", "#x", "null", "ключ", "- y", "a, b", "é"]
)
@pytest.mark.parametrize("to", WRITERS)
def test_our_reader_reads_any_class_name_back(name: str, to: str, tmp_path: Path):
    rows = [(0, 0, [1, 2, 30, 40]), (1, 1, [1, 2, 30, 40])]
    made = make_dataset(tmp_path / "made", rows, names=(name, "other"))
    write_dataset({"val": made}, tmp_path / "out", to=to)
    found = read_dataset(tmp_path / "out")
    assert sorted(found.names) == sorted((name, "other"))
    assert not found.findings
    assert_same(found, made, within=1e-8)


@pytest.mark.parametrize("to", WRITERS)
def test_hostile_file_names_come_through_every_format(to: str, tmp_path: Path):
    files = (".a.jpg", "#b.jpg", "c d.jpg", "e\nf.jpg", "x/0.jpg", "y/0.jpg", "g.images.jpg")
    rows = [(place, 0, [place, 0, 40, 40]) for place in range(len(files))]
    made = make_dataset(tmp_path / "made", rows, files=files)
    write_dataset({"val": made}, tmp_path / "images" / "out", to=to)
    found = read_dataset(tmp_path / "images" / "out")
    assert not found.findings
    np.testing.assert_allclose(np.sort(found.objects.boxes[:, 0]), range(len(files)), atol=1e-8)


def test_boxes_at_every_edge_are_read_back_without_a_finding(tmp_path: Path):
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 97, (400, 2, 2)), axis=1).reshape(400, 4) / 97
    boxes = corners * (1023, 767, 1023, 767)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    boxes[::3, 2:] = (1023, 767)
    rows = [(0, 0, box) for box in np.unique(boxes, axis=0).tolist()]
    made = make_dataset(tmp_path / "made", rows, files=("a.png",), size=(767, 1023))
    for to in WRITERS:
        write_dataset({"val": made}, tmp_path / to, to=to)
        found = read_dataset(tmp_path / to)
        assert not found.errors
        assert not [one for one in found.findings if one.code == "W211"]
        assert_same(found, made, within=0.5 + 1e-8 if to == "voc" else 1e-8)


@pytest.mark.usefixtures("real_assets")
def test_only_the_splits_that_were_asked_for_are_converted(assets: Path, tmp_path: Path):
    done = convert_dataset(assets / "datasets/bccd", tmp_path / "out", to="yolo", splits=["val"])
    assert [one.split for one in done.splits] == ["val"]
    assert list_splits(tmp_path / "out") == ("val",)
    with pytest.raises(InvalidData, match="vla"):
        convert_dataset(assets / "datasets/bccd", tmp_path / "x", to="yolo", splits=["vla"])
    with pytest.raises(UnknownName, match="yolo"):
        convert_dataset(assets / "datasets/bccd", tmp_path / "x", to="yollo")
    assert not (tmp_path / "x").exists()
