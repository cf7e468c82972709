"""Ids, names, folders and patterns of others cannot keep a reader of data sets busy."""

import json
import sys
from pathlib import Path

import pytest

from bounded import bounded
from labelled import make_dataset, write_picture
from scantling.datasets.readers import files, read_dataset
from scantling.errors import InvalidData
from scantling.evaluation.coco_results import read_results
from scantling.evaluation.tables import make_ground_truth

MODULUS = sys.hash_info.modulus  # every multiple of it has one hash
MANY = 60_000
LARGE = [MODULUS * (8 + number) for number in range(MANY)]
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
COCO = {"images": [IMAGE], "categories": [{"id": 1, "name": "a"}], "annotations": [BOX]}
CASES = {
    "images": [{**IMAGE, "id": one} for one in LARGE],
    "categories": [{"id": one, "name": f"a{place}"} for place, one in enumerate(LARGE)],
    "annotations": [{**BOX, "id": one} for one in LARGE],
    "foreign images": [{**BOX, "id": place, "image_id": one} for place, one in enumerate(LARGE)],
    "foreign categories": [
        {**BOX, "id": place, "category_id": one} for place, one in enumerate(LARGE)
    ],
    "negative": [{**BOX, "id": -one} for one in LARGE],
}


@pytest.mark.parametrize("case", CASES)
def test_ids_beyond_63_bits_are_refused(case: str, tmp_path: Path):
    write_picture(tmp_path / "a.jpg")
    key = case if case in COCO else "annotations"
    (tmp_path / "a.json").write_text(json.dumps({**COCO, key: CASES[case]}))
    with bounded():
        if case in ("images", "categories"):
            with pytest.raises(InvalidData):
                read_dataset(tmp_path / "a.json")
        else:
            assert not len(read_dataset(tmp_path / "a.json").objects)


def test_ids_of_63_bits_are_read(tmp_path: Path):
    write_picture(tmp_path / "a.jpg")
    largest = 2**63 - 1
    content = {
        "images": [{**IMAGE, "id": largest}],
        "categories": [{"id": largest, "name": "a"}],
        "annotations": [{**BOX, "id": -largest, "image_id": largest, "category_id": largest}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert len(read_dataset(tmp_path / "a.json").objects) == 1


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_results_of_such_ids_are_refused(key: str, tmp_path: Path):
    one = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}
    (tmp_path / "r.json").write_text(json.dumps([{**one, key: large} for large in LARGE]))
    truth = make_ground_truth(make_dataset(tmp_path, []))
    with bounded(), pytest.raises(InvalidData, match="63 bits"):
        read_results(tmp_path / "r.json", truth)


def yolo(folder: Path, text: str) -> Path:
    write_picture(folder / "images" / "a.jpg")
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def test_classes_of_such_numbers_are_refused(tmp_path: Path):
    lines = "".join(f"  {one}: a{place}\n" for place, one in enumerate(LARGE))
    path = yolo(tmp_path, f"val: images\nnames:\n{lines}")
    with bounded(), pytest.raises(InvalidData, match="not class ids"):
        read_dataset(path)


@pytest.mark.parametrize("place", ['path: "a\\0b"\nval: x\n', 'val: "a\\0b"\n', "val: a\0b\n"])
def test_a_zero_byte_is_refused_wherever_it_stands(place: str, tmp_path: Path):
    with pytest.raises(InvalidData, match="zero byte"):
        read_dataset(yolo(tmp_path, f"{place}names: [a]\n"))


@pytest.mark.parametrize(
    "entry", ["/", "/*", "/**/*.jpg", "['..', '..', '..', '..', '..']", "'*/../*/../*.jpg'"]
)
def test_a_folder_or_pattern_with_hardly_an_image_is_refused(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of several entries the folders count together."""
    monkeypatch.setattr(files, "MAX_OTHERS", 100)
    for number in range(30):
        (tmp_path / f"{number}.txt").touch()
    path = yolo(tmp_path / "set", f"val: {entry}\nnames: [a]\n")
    with (
        bounded(),
        pytest.raises(InvalidData, match=r"no images lie in it|nor a pattern") as refusal,
    ):
        read_dataset(path)
    assert refusal.value.findings[0].code in ("E230", "E106")


def test_images_with_other_files_beside_them_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "MAX_OTHERS", 5)
    path = yolo(tmp_path, "val: images\nnames: [a]\n")
    for number in range(30):
        write_picture(tmp_path / "images" / f"{number}.jpg")
        (tmp_path / "images" / f"{number}.xml").touch()
        (tmp_path / "images" / f"{number}.txt").touch()
    assert len(read_dataset(path)) == 31


def test_paths_of_thousands_of_folders_are_not_looked_for(tmp_path: Path):
    deep = [f"{number}/{'a/' * 1_500}x.jpg" for number in range(50)]
    (tmp_path / "list.txt").write_text("\n".join(["images/a.jpg", *deep]))
    with bounded():
        found = read_dataset(yolo(tmp_path, "val: list.txt\nnames: [a]\n"))
    assert len(found) == 51
    assert [one.code for one in found.findings].count("E301") == 50


def test_lists_of_more_folders_than_any_data_set_has_take_no_memory_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "MAX_FOLDERS", 50)
    folders = files.Folders()
    for number in range(500):
        assert not folders.has(str(tmp_path / str(number) / "a.jpg"))
    assert folders.is_full
    assert len(folders._names) <= 51
    write_picture(tmp_path / "late" / "a.jpg")
    assert folders.has(str(tmp_path / "late" / "a.jpg"))


def test_a_path_of_a_data_file_is_not_looked_for_in_every_part(tmp_path: Path):
    """Found by tools/fuzz.py: a path of 100,000 folders."""
    path = tmp_path / "a.data"
    path.write_text(f"classes = 1\nvalid = {'/dev/zero' * 50_000}\nnames = {'a/' * 50_000}\n")
    with bounded(), pytest.raises(InvalidData):
        read_dataset(path)
