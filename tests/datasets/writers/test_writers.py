"""How data sets are written: whole or not at all, nothing on top of another, every loss told."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled import make_dataset, write_picture
from scantling.datasets.darknet_files import read_data
from scantling.datasets.dataset import Dataset, LabelledImage
from scantling.datasets.findings import Finding
from scantling.datasets.writers import WRITERS, write_dataset
from scantling.errors import InvalidData, InvalidValue, UnknownName

BOX = [10.0, 20.0, 50.0, 70.0]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "made", [(0, 1, BOX), (1, 0, [0.5, 1, 20, 30])])


def losses(dropped) -> dict[str, int | None]:
    return {loss.what: loss.count for loss in dropped}


@pytest.mark.parametrize("to", WRITERS)
def test_a_folder_that_holds_something_is_refused_and_left_alone(
    to: str, dataset: Dataset, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(InvalidData, match="is not empty"):
        write_dataset({"train": dataset}, tmp_path / "out", to=to)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize("to", WRITERS)
def test_the_folder_appears_only_when_it_is_whole(to: str, dataset: Dataset, tmp_path: Path):
    out, calls = tmp_path / "sub" / "out", []

    def stop() -> None:
        calls.append(out.exists())
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset({"train": dataset}, out, to=to, advance=stop)
    assert calls == [False, False]
    assert list((tmp_path / "sub").iterdir()) == []
    out.mkdir()  # an empty one may be there
    write_dataset({"train": dataset}, out, to=to)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["out"]


def test_a_run_that_is_killed_leaves_nothing_that_reads_as_a_data_set(
    dataset: Dataset, tmp_path: Path
):
    code = """
import os, signal, sys
from pathlib import Path
from scantling.datasets.conversion import convert_dataset
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
convert_dataset(sys.argv[1], sys.argv[2], to="yolo", advance=kill)
"""
    write_dataset({"train": dataset}, tmp_path / "coco", to="coco")
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "coco"), str(work / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (left,) = work.iterdir()
    assert left.name.startswith(".out-")
    assert left.suffix == ".partial"
    write_dataset({"train": dataset}, work / "out", to="yolo")  # what is left is in nobody's way
    assert (work / "out/data.yaml").is_file()


@pytest.mark.parametrize("to", WRITERS)
def test_images_of_one_name_do_not_overwrite_one_another(to: str, tmp_path: Path):
    files = ("x/0.jpg", "y/0.jpg", "y/0.png", "y/0-2.jpg")
    rows = [(place, 0, [place, 0, 40, 40]) for place in range(4)]
    dataset = make_dataset(tmp_path / "made", rows, files=files)
    for grey, file in enumerate(files):
        write_picture(tmp_path / "made" / file, grey=grey * 50)
    dropped = write_dataset({"train": dataset}, tmp_path / "out", to=to, images="copy")
    kept = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".jpg", ".png")]
    assert len({path.stem.lower() for path in kept}) == 4
    assert sorted(path.read_bytes() for path in kept) == sorted(
        (tmp_path / "made" / file).read_bytes() for file in files
    )
    assert losses(dropped)["file names"] == 3


def test_voc_holds_an_image_of_two_splits_once_and_others_apart(tmp_path: Path):
    first = make_dataset(tmp_path / "one", [(0, 0, BOX)], files=("a.jpg",))
    both = replace(first, split="trainval")
    other = make_dataset(tmp_path / "two", [(0, 1, BOX)], files=("a.jpg",), split="val")
    write_dataset({"train": first, "trainval": both, "val": other}, tmp_path / "out", to="voc")
    lists = {path.stem: path.read_text() for path in (tmp_path / "out/ImageSets/Main").iterdir()}
    assert lists == {"train": "a\n", "trainval": "a\n", "val": "a-2\n"}
    assert "<filename>a-2.jpg<" in (tmp_path / "out/Annotations/a-2.xml").read_text()


def test_images_are_linked_or_copied_as_asked(dataset: Dataset, tmp_path: Path):
    source = tmp_path / "made/a.jpg"
    for mode in ("link", "copy", "symlink"):
        write_dataset({"train": dataset}, tmp_path / mode, to="coco", images=mode)
    inode = source.stat().st_ino
    assert (tmp_path / "link/train/a.jpg").stat().st_ino == inode
    assert (tmp_path / "copy/train/a.jpg").stat().st_ino != inode
    assert (tmp_path / "symlink/train/a.jpg").readlink() == source.resolve()
    with pytest.raises(UnknownName, match="symlink"):
        write_dataset({"train": dataset}, tmp_path / "x", to="coco", images="sym")


def test_link_copies_where_the_file_system_has_no_hard_links(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    write_dataset({"train": dataset}, tmp_path / "out", to="yolo")
    copied = tmp_path / "out/images/train/a.jpg"
    assert copied.read_bytes() == (tmp_path / "made/a.jpg").read_bytes()
    assert copied.stat().st_nlink == 1


def test_every_flag_that_a_format_cannot_hold_is_counted(tmp_path: Path):
    rows = [(0, 0, BOX), (0, 1, BOX), (1, 1, [1, 1, 21, 31])]
    dataset = make_dataset(
        tmp_path / "made",
        rows,
        crowd=[0],
        difficult=[1, 2],
        areas=[2000, 700.25, 600],
        format="coco",
        category_ids=(3, 90),
    )
    dropped = {
        to: losses(write_dataset({"train": dataset}, tmp_path / to, to=to)) for to in WRITERS
    }
    for to in ("yolo", "darknet"):
        assert dropped[to]["crowd flags"] == 1
        assert dropped[to]["difficult flags"] == 2
        assert dropped[to]["areas of masks"] == 1
        assert dropped[to]["category ids"] == 2
    assert dropped["voc"]["crowd flags"] == 1
    assert dropped["voc"]["ids and order of classes"] == 2
    assert "difficult flags" not in dropped["voc"]
    assert not {"crowd flags", "areas of masks", "category ids"} & set(dropped["coco"])
    written = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())
    assert [one["id"] for one in written["categories"]] == [3, 90]


def test_boxes_beyond_the_image_are_cut_off_and_told(tmp_path: Path):
    rows = [(0, 0, [-5, 10, 50, 90]), (0, 0, [130, 0, 140, 10]), (1, 0, [0, 0, 120, 80])]
    dataset = make_dataset(tmp_path / "made", rows)
    dropped = write_dataset({"train": dataset}, tmp_path / "yolo", to="yolo")
    assert losses(dropped) == {"boxes changed": 1, "boxes": 1}
    assert "10 pixels" in str(dropped[0])
    labels = (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines()
    assert [float(value) for value in labels[0].split()] == pytest.approx(
        [0, 25 / 120, 45 / 80, 50 / 120, 70 / 80]
    )
    assert (tmp_path / "yolo/labels/train/b.txt").read_text() == "0 0.5 0.5 1 1\n"
    assert len(labels) == 1
    assert losses(write_dataset({"train": dataset}, tmp_path / "coco", to="coco")) == {
        "image ids": 2
    }


def test_voc_makes_no_box_smaller_than_a_pixel_and_tells_what_it_rounds(tmp_path: Path):
    rows = [(0, 0, [119.8, 79.7, 120, 80]), (1, 0, [3.2, 4.2, 3.4, 4.4]), (1, 1, [1, 2, 3, 4])]
    dataset = make_dataset(tmp_path / "made", rows)
    dropped = write_dataset({"train": dataset}, tmp_path / "out", to="voc")
    assert losses(dropped)["boxes changed"] == 2
    assert "by 0.8 at most" in next(str(loss) for loss in dropped if loss.what == "boxes changed")
    xml = (tmp_path / "out/Annotations/a.xml").read_text()
    assert "<xmin>120</xmin>" in xml
    assert "<xmax>120</xmax>" in xml
    assert "<ymin>80</ymin>" in xml


def test_splits_with_other_classes_are_brought_together_by_name(tmp_path: Path):
    train = make_dataset(tmp_path / "a", [(0, 0, BOX), (1, 1, BOX)], names=("cat", "dog"))
    val = make_dataset(
        tmp_path / "b", [(0, 0, BOX), (1, 1, BOX)], names=("dog", "emu"), split="val"
    )
    write_dataset({"train": train, "val": val}, tmp_path / "out", to="darknet")
    assert (tmp_path / "out/out.names").read_text() == "cat\ndog\nemu\n"
    assert (tmp_path / "out/val/a.txt").read_text().startswith("1 ")
    assert (tmp_path / "out/val/b.txt").read_text().startswith("2 ")


def test_two_classes_of_one_name_are_refused(tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [], names=("cat", "cat"))
    with pytest.raises(InvalidData, match="2 classes are called 'cat'"):
        write_dataset({"train": dataset}, tmp_path / "out", to="yolo")


@pytest.mark.parametrize("name", ["a\nb", " a", "a\x00", "a\ud800"])
def test_a_class_name_that_would_not_come_back_is_refused(name: str, tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [(0, 0, BOX)], names=(name, "dog"))
    with pytest.raises(InvalidData, match="XML cannot hold"):
        write_dataset({"train": dataset}, tmp_path / "voc", to="voc")
    if name in ("a\nb", " a"):
        with pytest.raises(InvalidValue, match="class name"):
            write_dataset({"train": dataset}, tmp_path / "darknet", to="darknet")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_yolo_names_splits_as_data_yaml_does_and_tells(tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [(0, 0, BOX)])
    dropped = write_dataset(
        {"train2017": dataset, "valid": dataset, "trainval": dataset}, tmp_path / "a", to="yolo"
    )
    assert losses(dropped) == {"names of splits": 1, "splits": 1}
    assert sorted(path.name for path in (tmp_path / "a/images").iterdir()) == ["train", "val"]
    write_dataset({"everything": dataset}, tmp_path / "b", to="yolo")
    assert [path.name for path in (tmp_path / "b/images").iterdir()] == ["train"]
    with pytest.raises(InvalidData, match="one at a time"):
        write_dataset({"x": dataset, "y": dataset}, tmp_path / "c", to="yolo")


def test_darknet_names_two_lists_and_tells_of_the_third(tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [(0, 0, BOX)])
    parts = {"train": dataset, "val": dataset, "test": dataset}
    dropped = write_dataset(parts, tmp_path / "my set", to="darknet")
    main = read_data(tmp_path / "my set/my_set.data")
    assert main.classes == 2
    assert main.train is not None
    assert main.train.read_text() == "train/a.jpg\ntrain/b.jpg\n"
    assert main.valid is not None
    assert main.valid.name == "val.txt"
    assert losses(dropped)["names of splits"] == 1
    assert (tmp_path / "my set/test.txt").read_text() == "test/a.jpg\ntest/b.jpg\n"
    assert (tmp_path / "my set/train/b.txt").read_text() == ""
    with pytest.raises(InvalidData, match="one at a time"):
        write_dataset({"x": dataset, "y": dataset}, tmp_path / "out", to="darknet")
    write_dataset({"x": dataset}, tmp_path / "out", to="darknet")
    assert read_data(tmp_path / "out/out.data").valid == tmp_path / "out/x.txt"


def test_images_that_are_gone_and_labels_with_errors_are_told(dataset: Dataset, tmp_path: Path):
    gone = LabelledImage(tmp_path / "gone.jpg", 7, (10, 10))
    unknown = replace(dataset.images[1], size=None)
    dataset = replace(
        dataset,
        images=(dataset.images[0], unknown, gone),
        findings=(
            Finding("E206", "no such class", tmp_path / "x.txt", 1),
            Finding("W216", "a polygon", tmp_path / "x.txt", 2),
        ),
    )
    dropped = write_dataset({"train": dataset}, tmp_path / "out", to="yolo")
    assert losses(dropped) == {"polygons": 1, "labels": 1, "images": 2}
    assert "1 objects went" in str(dropped[-1])
    assert [path.name for path in (tmp_path / "out/images/train").iterdir()] == ["a.jpg"]


def test_nothing_to_write_is_an_error(tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [], files=())
    with pytest.raises(InvalidData, match="no images"):
        write_dataset({"train": dataset}, tmp_path / "out", to="coco")


def test_image_ids_that_are_numbers_are_kept_and_words_get_the_next_free(tmp_path: Path):
    dataset = make_dataset(tmp_path / "made", [(0, 0, BOX)], files=("a.jpg", "b.jpg", "c.jpg"))
    ids = (1, "b", 1)
    images = tuple(
        replace(image, image_id=image_id)
        for image, image_id in zip(dataset.images, ids, strict=True)
    )
    dropped = write_dataset({"train": replace(dataset, images=images)}, tmp_path / "out", to="coco")
    written = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert [one["id"] for one in written["images"]] == [1, 2, 3]
    assert losses(dropped)["image ids"] == 2


def test_a_split_cannot_name_a_place_outside_of_the_folder(dataset: Dataset, tmp_path: Path):
    write_dataset({"../../evil/x": dataset}, tmp_path / "deep/out", to="coco")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "made"]
    assert (tmp_path / "deep/out/evil_x/a.jpg").is_file()


def test_shares_have_digits_enough_for_the_largest_images(tmp_path: Path):
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, (200, 2, 2)), axis=1) * (9_999, 7_777)
    boxes = np.round(corners, 2).reshape(200, 4)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    dataset = make_dataset(tmp_path / "made", [(0, 0, box) for box in boxes.tolist()])
    images = tuple(replace(image, size=(7_777, 9_999)) for image in dataset.images)
    write_dataset({"train": replace(dataset, images=images)}, tmp_path / "out", to="yolo")
    table = np.loadtxt(tmp_path / "out/labels/train/a.txt")[:, 1:]
    half = table[:, 2:] / 2
    back = np.concatenate([table[:, :2] - half, table[:, :2] + half], axis=1)
    back = back * (9_999, 7_777, 9_999, 7_777)
    assert np.abs(back - boxes).max() < 2e-8
    assert (np.round(back, 2) == boxes).all()


@pytest.mark.parametrize("to", WRITERS)
def test_a_file_name_never_breaks_a_list_or_hides_an_image(to: str, tmp_path: Path):
    files = (".hidden.jpg", "#no.jpg", "a b.jpg", "line\nbreak.jpg", "x.jpg")
    dataset = make_dataset(tmp_path / "made", [(0, 0, BOX)], files=files)
    dropped = write_dataset({"train": dataset}, tmp_path / "out", to=to)
    space = "a_b" if to == "voc" else "a b"
    kept = {path.stem for path in (tmp_path / "out").rglob("*.jpg")}
    assert kept == {"_.hidden", "_#no", space, "line_break", "x"}
    assert losses(dropped)["file names"] == 3 + (to == "voc")
