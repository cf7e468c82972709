"""The check as a whole: all splits, all findings, and the refusal of what has errors."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from clean_sets import LAYOUTS, Content, Thing, clean_content, photo, write_files

from scantling.datasets.check import check_dataset, check_quickly, require_sound, to_record
from scantling.datasets.findings import CODES, Finding
from scantling.datasets.readers import read_dataset
from scantling.errors import InvalidData, UnknownName


def write_yolo(folder: Path, content: Content | None = None) -> Path:
    return write_files(LAYOUTS["yolo"].files(content or clean_content()), folder)


def spoil(folder: Path, *, lines: int = 1, name: str = "train/p0") -> Path:
    path = folder / "labels" / f"{name}.txt"
    path.write_text("0 0.5 nan 0.1 0.1\n" * lines)
    return path


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def test_every_split_is_checked(tmp_path):
    folder = write_yolo(tmp_path)
    train, val = spoil(folder), spoil(folder, name="val/p10")
    found = [one for one in check_dataset(folder).findings if one.code == "E203"]
    assert [one.file for one in found] == [train, val]
    assert {one.file for one in check_dataset(folder, splits=["val"]).findings} >= {val}
    assert train not in {one.file for one in check_dataset(folder, splits=["val"]).findings}


def test_one_broken_split_does_not_keep_the_others_from_being_read(tmp_path):
    folder = write_yolo(tmp_path)
    description = folder / "data.yaml"
    description.write_text(description.read_text().replace("images/val", "images/gone"))
    result = check_dataset(folder)
    assert [one.split for one in result.datasets] == ["train"]
    assert codes(result.findings) == ["E106"]
    assert result.error_count == 1


def test_errors_come_first_and_each_finding_once(tmp_path):
    folder = write_yolo(tmp_path)
    spoil(folder, lines=2)
    (folder / "labels" / "train" / "p1.txt").write_text("")
    result = check_dataset(folder)
    assert codes(result.findings) == sorted(codes(result.findings))
    assert len(set(result.findings)) == len(result.findings)
    assert [one.line for one in result.errors] == [1, 2]


def test_nothing_to_check_is_told_as_an_error_of_the_data(tmp_path):
    result = check_dataset(tmp_path / "absent")
    assert codes(result.findings) == ["E101"]
    assert result.format == ""


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="yolo"):
        check_dataset(write_yolo(tmp_path), format="yollo")


def test_a_fast_check_decodes_nothing_and_says_so(tmp_path):
    folder = write_yolo(tmp_path)
    image = folder / "images" / "train" / "p0.png"
    damaged = bytearray(image.read_bytes())
    damaged[60:360] = bytes(300)
    image.write_bytes(damaged)
    assert codes(check_dataset(folder).findings) == ["E304"]
    fast = check_dataset(folder, fast=True)
    assert fast.findings == ()
    assert not fast.infos
    assert len(fast.notes) == 1


def test_a_split_that_is_made_up_of_others_repeats_nothing(tmp_path):
    files = dict(LAYOUTS["voc"].files(clean_content()))
    main = "ImageSets/Main"
    files[f"{main}/trainval.txt"] = files[f"{main}/train.txt"] + files[f"{main}/val.txt"]
    result = check_dataset(write_files(files, tmp_path))
    assert [one.split for one in result.datasets] == ["train", "trainval", "val"]
    assert result.findings == ()


def test_a_validation_split_within_the_training_split_is_found(tmp_path):
    files = dict(LAYOUTS["voc"].files(clean_content()))
    files["ImageSets/Main/val.txt"] = b"p0\np1\n"
    result = check_dataset(write_files(files, tmp_path))
    assert codes(result.findings) == ["E401", "E401"]


def test_frames_of_one_scene_give_one_finding_each(tmp_path):
    content = clean_content()
    for number in range(8):
        data = photo(0).data[:-12] + bytes(0)
        text = f"frame {number}".encode()
        chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + bytes(4)
        content = content.add(
            "train",
            replace(photo(0), name=f"frame{number}", data=data + chunk + photo(0).data[-12:]),
        )
    result = check_dataset(write_yolo(tmp_path, content))
    assert set(codes(result.findings)) == {"W404"}
    assert len(result.findings) == 8
    assert set(result.others.values()) == {tmp_path / "images" / "train" / "frame0.png"}


def test_copies_whose_boxes_differ_by_rounding_agree(tmp_path):
    copy = replace(photo(0), name="copy")
    nearly = [Thing(one.label, tuple(side + 0.4 for side in one.box)) for one in copy.things]
    content = clean_content().add("train", copy.with_things(*reversed(nearly)))
    assert codes(check_dataset(write_yolo(tmp_path, content)).findings) == ["W402"]


def test_a_changed_label_is_seen_though_its_size_and_time_stay_the_same(tmp_path):
    folder = write_yolo(tmp_path / "data")
    label = folder / "labels" / "train" / "p0.txt"
    assert check_dataset(folder, cache=tmp_path / "cache").findings == ()
    before = label.stat()
    text = label.read_text()
    label.write_text("7" + text[1:])
    os.utime(label, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (label.stat().st_size, label.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    found = check_dataset(folder, cache=tmp_path / "cache").findings
    assert [(one.code, one.file, one.line) for one in found] == [("E206", label, 1)]


def test_progress_counts_every_image_once(tmp_path):
    seen: list[tuple[int, int]] = []
    check_dataset(write_yolo(tmp_path), progress=lambda *done: seen.append(done))
    assert seen == [(done, 6) for done in range(7)]


def test_a_sound_split_is_accepted(tmp_path):
    dataset = read_dataset(write_yolo(tmp_path), split="train")
    assert check_quickly(dataset) == ()
    require_sound(dataset)


def test_a_split_with_errors_is_refused_with_their_places(tmp_path):
    folder = write_yolo(tmp_path)
    label = spoil(folder, lines=15)
    dataset = read_dataset(folder, split="train")
    with pytest.raises(InvalidData) as caught:
        require_sound(dataset, max_errors=14)
    message = str(caught.value)
    assert "train has 15 errors, and 14 are accepted" in message
    assert f"E203 {label}:10: " in message
    assert f"{label}:11: " not in message
    assert "and 5 more" in message
    assert f"`scantling data check {folder}`" in message
    assert "--max-data-errors 15" in message
    assert len(caught.value.findings) == 15
    require_sound(dataset, max_errors=15)


def test_a_finding_that_stands_for_many_counts_as_many(tmp_path):
    dataset = read_dataset(write_yolo(tmp_path), split="train")
    many = Finding("E203", "and 500 more", tmp_path, count=500)
    with pytest.raises(InvalidData, match="train has 501 errors"):
        require_sound(replace(dataset, findings=(replace(many, count=1), many)))


def test_errors_beyond_those_that_are_listed_are_counted(tmp_path):
    folder = write_yolo(tmp_path)
    spoil(folder, lines=2_345)
    with pytest.raises(InvalidData, match="train has 2,345 errors"):
        require_sound(read_dataset(folder, split="train"), max_errors=2_344)
    assert check_dataset(folder, fast=True).error_count == 2_345


def test_a_refusal_steers_no_terminal(tmp_path):
    dataset = read_dataset(write_yolo(tmp_path), split="train")
    hostile = Finding("E206", "there is no class \x1b[31mred\n", tmp_path / "a\x07.xml")
    with pytest.raises(InvalidData) as caught:
        require_sound(replace(dataset, findings=(hostile,)))
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_the_record_for_machines_holds_every_finding_and_the_counts(tmp_path):
    folder = write_yolo(tmp_path)
    label = spoil(folder, lines=3)
    record = to_record(check_dataset(folder), most=2)
    assert record["format"] == "yolo"
    assert record["splits"][0] == {"split": "train", "images": 4, "objects": 9, "classes": 3}
    assert record["errors"] == 3
    (code,) = [one for one in record["codes"] if one["code"] == "E203"]
    assert (code["count"], code["title"]) == (3, CODES["E203"][0])
    assert len(record["findings"]) == 2
    first = record["findings"][0]
    assert (first["severity"], first["file"], first["line"]) == ("error", str(label), 1)
    assert first["image"] == str(folder / "images" / "train" / "p0.png")
