"""Darknet's `.names` and `.data` files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scantling.datasets.darknet_files import (
    DataFile,
    read_data,
    read_names,
    write_data,
    write_names,
)
from scantling.errors import InvalidSource, InvalidValue


def test_names_are_read_in_order(assets: Path):
    names = read_names(assets / "weights" / "yolov4-tiny-coco" / "coco.names")
    assert (len(names), names[0], names[15], names[79]) == (80, "person", "cat", "toothbrush")


def test_the_text_formats_load_no_torch():
    names = "parse_cfg, read_cfg"
    program = (
        "import sys; import scantling.datasets.darknet_files;"
        f" from scantling.darknet import {names};"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_names_survive_a_round_trip(tmp_path: Path):
    names = ("traffic light", "être", "犬")
    write_names(tmp_path / "a.names", names)
    assert read_names(tmp_path / "a.names") == names


def test_line_ends_and_the_end_of_the_file_do_not_count(tmp_path: Path):
    path = tmp_path / "a.names"
    path.write_bytes("\ufeffcat \r\ndog\r\n\r\n\n".encode())
    assert read_names(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no class names"), (b"cat\n\ndog", "line 2 is empty"), (b"\xff\xfe", "UTF-16")],
)
def test_names_that_would_shift_labels_are_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.names"
    path.write_bytes(content)
    with pytest.raises(InvalidSource, match=message):
        read_names(path)


@pytest.mark.parametrize("name", ["", " cat", "a\nb"])
def test_a_name_that_would_not_come_back_is_not_written(tmp_path: Path, name: str):
    with pytest.raises(InvalidValue):
        write_names(tmp_path / "a.names", (name,))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InvalidSource, match=r"none\.names: cannot be read"):
        read_names(tmp_path / "none.names")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidSource, match="is a pipe, not a file"):
        read_data(tmp_path / "pipe")


def test_data_says_classes_and_paths(tmp_path: Path):
    path = tmp_path / "a.data"
    path.write_text("# mine\nclasses= 3\ntrain  = lists/train.txt\nbackup=backup/\nclasses=4\n")
    data = read_data(path)
    assert data == DataFile(classes=3, train=Path("lists/train.txt"), backup=Path("backup"))


def test_a_path_beside_the_file_is_found_where_the_working_folder_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "a.names").write_text("cat\n")
    (home / "a.data").write_text("names=a.names\n")
    monkeypatch.chdir(work)
    assert read_data(home / "a.data").names == home / "a.names"
    (work / "a.names").write_text("dog\n")  # darknet's own rule comes first
    assert read_data(home / "a.data").names == Path("a.names")


def test_data_survives_a_round_trip(tmp_path: Path):
    data = DataFile(classes=2, valid=Path("/lists/valid.txt"), eval="coco", top=5)
    write_data(tmp_path / "a.data", data)
    assert read_data(tmp_path / "a.data") == data


def test_a_path_that_darknet_would_change_is_not_written(tmp_path: Path):
    with pytest.raises(InvalidValue, match="white space"):
        write_data(tmp_path / "a.data", DataFile(train=Path("my lists/train.txt")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nmaes=a.names", "Did you mean 'names'"),
        ("classes", "line 1"),
        ("classes=-1", "not a positive whole number"),
        ("classes=" + "9" * 5000, "not a positive whole number"),
    ],
)
def test_data_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, message: str):
    path = tmp_path / "a.data"
    path.write_text(line)
    with pytest.raises(InvalidSource, match=message):
        read_data(path)
