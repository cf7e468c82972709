"""Paths of other machines and other spellings are read as what they mean, and that is said."""

import json
from pathlib import Path

import pytest
from small_sets import (
    BOXES,
    coco_content,
    write_coco,
    write_darknet,
    write_images,
    write_png,
    write_voc,
    write_yolo,
)

from scantling.datasets.dataset import Dataset
from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData

READ = ["a.png", "b.png"]


def codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.findings if finding.code != "W221"]


def check_whole(dataset: Dataset) -> None:
    """Both images are there, and the cat and the dog where they were drawn."""
    assert [image.path.name for image in dataset.images] == READ
    assert all(image.path.is_file() for image in dataset.images)
    assert dataset.objects.boxes.tolist() == [pytest.approx(box, abs=1e-9) for box in BOXES]


@pytest.mark.parametrize(
    "line",
    [
        ".\\images\\val\\{}",
        "images\\val\\{}",
        "C:\\data\\pets\\images\\val\\{}",
        "/home/somebody/pets/images/val/{}",
        "../../elsewhere/images/val/{}",
        "data/images/val/{}",
    ],
)
def test_a_list_written_elsewhere_is_read(tmp_path: Path, line: str):
    file = write_yolo(tmp_path)
    (tmp_path / "val.txt").write_text("".join(f"{line.format(name)}\r\n" for name in READ))
    file.write_text("val: val.txt\nnames: [cat, dog]\n")
    dataset = read_dataset(file)
    check_whole(dataset)
    (finding,) = [one for one in dataset.findings if one.code == "W116"]
    assert (finding.file, finding.line) == (tmp_path / "val.txt", 1)
    assert f"{str(tmp_path / 'images' / 'val' / 'a.png')!r} is read instead" in finding.message
    assert finding.message.endswith("and 1 more like it")


def test_two_images_of_one_name_are_never_taken_for_each_other(tmp_path: Path):
    file = write_yolo(tmp_path)
    lines = ("/home/me/one/a.png", "/home/me/two/a.png", "/home/me/one/b.png")
    (tmp_path / "val.txt").write_text("\n".join(lines))
    file.write_text("path: images/val\nval: ../../val.txt\nnames: [cat, dog]\n")
    dataset = read_dataset(file)
    found = [image.path for image in dataset.images if image.path.exists()]
    assert found == [tmp_path / "images" / "val" / name for name in READ]
    assert codes(dataset).count("E301") == 1


@pytest.mark.parametrize("entry", ["..\\images\\val", "/content/pets/images/val", "./Images/Val"])
def test_an_entry_of_a_yaml_written_elsewhere_is_read(tmp_path: Path, entry: str):
    file = write_yolo(tmp_path)
    file.write_text(f"val: '{entry}'\nnames: [cat, dog]\n")
    dataset = read_dataset(file)
    check_whole(dataset)
    assert codes(dataset) == ["W116"]


def test_of_a_folder_called_images_alone_nobody_can_tell(tmp_path: Path):
    write_images(tmp_path / "images")
    file = tmp_path / "data.yaml"
    file.write_text("val: /x/other/images\nnames: [cat, dog]\n")
    with pytest.raises(InvalidData, match="E106") as caught:
        read_dataset(file)
    assert "'/x/other/images' is not there" in str(caught.value)


def test_a_path_that_is_not_there_is_said(tmp_path: Path):
    file = write_yolo(tmp_path)
    file.write_text(file.read_text().replace("path: .", "path: C:\\data\\pets"))
    dataset = read_dataset(file)
    check_whole(dataset)
    (finding,) = [one for one in dataset.findings if one.code == "W116"]
    assert finding.line == 1
    assert f"{str(tmp_path)!r} is read instead" in finding.message


def test_cvat_unpacked_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """obj.data says data/train.txt, which says data/obj_train_data/…; all lie beside it."""
    write_images(tmp_path / "obj_train_data")
    (tmp_path / "obj_train_data" / "a.txt").write_text("0 0.3 0.5 0.4 0.5\n1 0.5 0.5 1 1\n")
    (tmp_path / "obj_train_data" / "b.txt").write_text("")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    lines = "".join(f"data/obj_train_data/{name}\n" for name in READ)
    (tmp_path / "train.txt").write_text(lines)
    data = tmp_path / "obj.data"
    data.write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    monkeypatch.chdir("/")
    check_whole(read_dataset(tmp_path, split="train"))
    data.write_text("classes = 2\ntrain = data\\train.txt\nnames = C:\\x\\obj.names\n")
    check_whole(read_dataset(data, split="train"))
    (tmp_path / "obj.names").unlink()
    with pytest.raises(InvalidData, match="E101 names =") as caught:
        read_dataset(data, split="train")
    for place in ("C:\\x\\obj.names", str(tmp_path / "obj.names")):
        assert repr(place) in str(caught.value)


def test_a_darknet_list_of_another_machine(tmp_path: Path):
    file = write_darknet(tmp_path)
    lines = "".join(f"/darknet/build/x64/data/pets/JPEGImages/{name}\n" for name in READ)
    (tmp_path / "val.txt").write_text(lines)
    dataset = read_dataset(file)
    check_whole(dataset)
    assert codes(dataset) == ["W116"]


@pytest.mark.parametrize(
    "written", ["imgs\\{}", "C:\\pets\\imgs\\{}", "/home/me/imgs/{}", "../imgs/{}", "IMGS/{}"]
)
def test_coco_names_of_another_machine(tmp_path: Path, written: str):
    content = coco_content()
    for image in content["images"]:  # type: ignore[attr-defined]
        image["file_name"] = written.format(image["file_name"])
    write_coco(tmp_path, content)
    (tmp_path / "val2017").rename(tmp_path / "imgs")
    dataset = read_dataset(tmp_path)
    check_whole(dataset)
    assert codes(dataset) == ["W116"]


def test_a_coco_name_never_leads_out_of_its_folders(tmp_path: Path):
    write_png(tmp_path / "secret" / "a.png", 100, 80)
    content = coco_content()
    content["images"][0]["file_name"] = "../../secret/a.png"  # type: ignore[index]
    folder = tmp_path / "set"
    folder.mkdir()
    dataset = read_dataset(write_coco(folder, json.dumps(content)))
    assert [image.path for image in dataset.images] == [folder / "val2017" / name for name in READ]


@pytest.mark.parametrize("line", ["JPEGImages/{}.png", "C:\\VOC\\JPEGImages\\{}.png", "{}.png"])
def test_a_voc_list_of_paths(tmp_path: Path, line: str):
    root = write_voc(tmp_path)
    names = "".join(f"{line.format(stem)}\n" for stem in "ab")
    (root / "ImageSets" / "Main" / "val.txt").write_text(names)
    dataset = read_dataset(root)
    check_whole(dataset)
    assert codes(dataset) == ["W116"]


def test_upper_and_lower_case_of_suffixes_and_folders(tmp_path: Path):
    root = tmp_path / "yolo"
    file = write_yolo(root)
    (root / "labels" / "val" / "a.txt").rename(root / "labels" / "val" / "A.TXT")
    (root / "labels").rename(root / "Labels")
    check_whole(read_dataset(file))
    root = tmp_path / "capital"
    file = write_yolo(root)
    for part in ("images", "labels"):
        (root / part).rename(root / part.title())
    file.write_text("val: Images/val\nnames: [cat, dog]\n")
    check_whole(read_dataset(file))
    root = write_voc(tmp_path / "voc")
    (root / "Annotations" / "a.xml").rename(root / "Annotations" / "A.XML")
    check_whole(read_dataset(root))
    root = tmp_path / "list"
    file = write_darknet(root)
    (root / "val.txt").write_text("JPEGImages/a.PNG\nJPEGImages/B.png\n")
    check_whole(read_dataset(file))


def test_a_label_file_spelt_otherwise_belongs_to_one_image_only(tmp_path: Path):
    file = write_yolo(tmp_path)
    write_png(tmp_path / "images" / "val" / "A.png", 10, 10)
    dataset = read_dataset(file)
    assert [image.label_file and image.label_file.name for image in dataset.images] == [
        None, "a.txt", "b.txt",
    ]  # fmt: skip
    assert "W219" in codes(dataset)
