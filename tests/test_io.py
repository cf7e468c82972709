"""Files and folders appear whole or not at all, and printed text steers no terminal."""

import os
from pathlib import Path

import pytest

from scantling.errors import printable
from scantling.io import atomic_write, write_file
from scantling.io.folders import atomic_files, atomic_folder


class Broken(Exception):
    """What goes wrong while a file is written."""


def write_half(part: Path) -> None:
    part.write_text("ha")
    raise Broken


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.suffix == ".txt"  # libraries choose a format by it
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(Broken), atomic_write(path) as part:
        write_half(part)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_file_that_is_not_to_be_overwritten_stays(tmp_path: Path):
    for text in ("one", "two", "three"):
        write_file(tmp_path / "a.txt", text, overwrite=False)
    written = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert written == {"a.txt": "one", "a-2.txt": "two", "a-3.txt": "three"}


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such permissions")
def test_a_file_has_the_permissions_of_any_other_even_if_a_library_made_it(tmp_path: Path):
    write_file(tmp_path / "plain.txt", b"")
    with atomic_write(tmp_path / "library.txt") as part:
        part.unlink()
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
    (tmp_path / "any.txt").touch()
    assert len({one.stat().st_mode for one in tmp_path.iterdir()}) == 1


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path):
    write_file(tmp_path / ("ü" * 125 + ".json"), "{}")
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_belong_together_appear_together(tmp_path: Path):
    path = tmp_path / "net.xml"
    with pytest.raises(Broken), atomic_files(path, [".bin"]) as draft:
        write_half(draft)
    assert list(tmp_path.iterdir()) == []
    with atomic_files(path, [".bin"]) as draft:
        draft.write_text("graph")
        draft.with_suffix(".bin").write_text("weights")
        assert not path.exists()
    written = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert written == {"net.xml": "graph", "net.bin": "weights"}


def test_the_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with atomic_files(tmp_path / "net.xml", [".bin"]) as draft:
        draft.touch()
        draft.with_suffix(".bin").touch()
    assert len(synced) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_appears_whole_and_never_over_somebody_elses_files(tmp_path: Path):
    path = tmp_path / "a" / "data"
    with atomic_folder(path) as part:
        (part / "one").touch()
        assert not path.exists()
    assert [one.name for one in path.iterdir()] == ["one"]
    with pytest.raises(OSError, match="not empty"), atomic_folder(path) as part:
        (part / "two").touch()
    assert [one.name for one in path.iterdir()] == ["one"]
    assert [one.name for one in path.parent.iterdir()] == ["data"]


def test_printed_text_steers_no_terminal():
    assert printable("a\x1b[31m\n\u202eb\ud800") == "a\ufffd[31m\ufffd\ufffdb\ufffd"
    assert printable("a\nb\r", keep="\n") == "a\nb\ufffd"
    assert printable("abcdef", limit=4) == "abc…"
    assert printable("abcd", limit=4) == "abcd"
