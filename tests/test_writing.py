"""Two processes and one name, a full disk, a killed process: nothing is lost, nothing is torn."""

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelled import make_dataset
from scantling import io
from scantling.cli import main
from scantling.datasets.writers import write_dataset
from scantling.errors import CannotWrite, InUse
from scantling.images import Frame, VideoInfo
from scantling.inference.outputs import Outputs
from scantling.inference.table_outputs import RecordFile
from scantling.io import atomic_write, remove_left, write_file
from scantling.io.folders import atomic_files, atomic_folder, lock_file

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made by fork")
WRITERS, FILES = 3, 40


def in_child(act: Callable[[], object]) -> int:
    """Do something in a process of its own; its exit code, negative for a signal."""
    child = os.fork()
    if not child:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_file_above(size: int) -> None:
    """From here on a write beyond so many bytes fails, in whatever library it is."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def add_records(file: RecordFile, count: int) -> None:
    for number in range(count):
        file.add(json.dumps({"number": number, "text": "x" * 50}) + "\n")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_of_files_of_one_name_none_is_lost(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "this disk has no hard links")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if not child:
            try:
                for number in range(FILES):
                    text = f"{writer} {number}"
                    write_file(tmp_path / f"{number}.txt", text, overwrite=False, sync=False)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == sorted(
        f"{writer} {number}" for writer in range(WRITERS) for number in range(FILES)
    )


def test_records_of_two_writers_of_one_name_go_into_two_files(tmp_path: Path):
    first, second = (RecordFile(tmp_path / "a.csv") for _ in range(2))
    assert (first.path.name, second.path.name) == ("a.csv", "a-2.csv")
    first.close()
    second.close()


def test_what_killed_processes_left_goes_and_what_is_being_written_stays(tmp_path: Path):
    (tmp_path / ".mine.part").touch()  # not ours
    (tmp_path / ".yarn.lock").touch()

    def leave_a_file() -> None:
        with atomic_write(tmp_path / "a.txt"):
            kill()

    def leave_a_folder() -> None:
        with atomic_folder(tmp_path / "b") as part:
            (part / "inner").mkdir()
            kill()

    def leave_a_lock() -> None:
        with lock_file(tmp_path / "c"):
            kill()

    io._cleared.add(tmp_path)  # the second is not to remove what the first left
    for act in (leave_a_file, leave_a_folder, leave_a_lock):
        assert in_child(act) == -signal.SIGKILL
    assert len(names(tmp_path)) == 5
    with atomic_write(tmp_path / "d.txt") as part, lock_file(tmp_path / "e"):
        io._cleared.clear()
        remove_left(tmp_path)
        assert names(tmp_path) == sorted(
            [part.name, ".e.scantling-lock", ".mine.part", ".yarn.lock"]
        )
    assert names(tmp_path) == [".mine.part", ".yarn.lock", "d.txt"]


def test_a_lock_says_who_has_it_and_goes_with_its_process(tmp_path: Path):
    ready, wait = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        lock = lock_file(tmp_path / "a.onnx")
        os.write(ready[1], b"x")
        os.read(wait[0], 1)
        del lock
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(InUse, match=rf"a\.onnx is being written by process {child} on .*Wait"):
        lock_file(tmp_path / "a.onnx")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with lock_file(tmp_path / "a.onnx"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("moves", [1, 2])
def test_files_that_belong_together_are_never_mixed(moves: int, tmp_path: Path):
    """Killed between two of them: the first, without which none is read, is not there."""
    path = tmp_path / "a.cfg"
    ends = (".names", ".weights", ".cfg")
    for end in ends:
        path.with_suffix(end).write_text("old")
    usual, done = Path.replace, 0

    def replace(part: Path, target: Path) -> Path:
        nonlocal done
        if done == moves:
            kill()
        done += 1
        return usual(part, target)

    def write() -> None:
        Path.replace = replace  # type: ignore[method-assign]
        with atomic_files(path, ends[:2]) as draft:
            for end in ends:
                draft.with_suffix(end).write_text("new")

    assert in_child(write) == -signal.SIGKILL
    assert not path.exists()
    with atomic_files(path, ends[:2]) as draft:
        for end in ends:
            draft.with_suffix(end).write_text("newer")
    assert {name: (tmp_path / name).read_text() for name in names(tmp_path)} == dict.fromkeys(
        sorted(f"a{end}" for end in ends), "newer"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, r"no room left on its disk \([\d,.]+ MB are free\)\. Free some"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
    ],
)
def test_what_cannot_be_written_is_named_with_what_to_do(code: int, words: str, tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")
    with (
        pytest.raises(CannotWrite, match=rf"a\.txt cannot be written: .*{words}") as told,
        atomic_write(tmp_path / "a.txt"),
    ):
        raise OSError(code, os.strerror(code))
    assert "Errno" not in str(told.value)
    assert told.value.errno == code
    assert {name: (tmp_path / name).read_text() for name in names(tmp_path)} == {"a.txt": "old"}


def test_what_cannot_be_read_is_not_said_to_be_unwritable(tmp_path: Path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        (tmp_path.parent / "elsewhere" / "gone.jpg").read_bytes()


def test_of_a_record_that_has_no_room_nothing_is_there(tmp_path: Path):
    def write() -> None:
        no_file_above(1000)
        file = RecordFile(tmp_path / "a.jsonl")
        with pytest.raises(CannotWrite, match=r"a\.jsonl cannot be written"):
            add_records(file, 100)
        file.close()

    assert in_child(write) == 0
    rows = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(row)["number"] for row in rows] == list(range(len(rows)))
    assert 10 < len(rows) < 20


def frame(number: int) -> Frame:
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (240, 320, 3), np.uint8)  # does not compress
    return Frame(
        "v.mp4", image, index=number, video=VideoInfo((240, 320), 25.0, 40), time=number / 25
    )


def detections():
    from scantling import Detections

    return Detections(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int64),
        names=("a",),
        image_size=(240, 320),
    )


@pytest.mark.parametrize("kind", ["video", "coco"])
def test_a_file_that_a_full_disk_has_torn_does_not_get_its_name(kind: str, tmp_path: Path):
    """OpenCV says nothing when it cannot write a frame."""

    def write() -> None:
        no_file_above(3000)
        outputs = Outputs([kind], tmp_path)
        for number in range(40):
            outputs.write(frame(number), detections())
        with pytest.raises(CannotWrite, match=rf"{kind}.* cannot be written"):
            outputs.close()

    assert in_child(write) == 0
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {io.OUTPUT_MARK}


def test_a_video_that_has_room_is_kept(tmp_path: Path):
    with Outputs(["video"], tmp_path) as outputs:
        for number in range(5):
            outputs.write(frame(number), detections())
    video = cv2.VideoCapture(str(tmp_path / "video/v.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 5


@pytest.mark.parametrize("words", [["show"], ["stats"]], ids=str)
def test_a_picture_of_data_replaces_an_older_one_whole_or_not_at_all(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    dataset = make_dataset(tmp_path, [(0, 0, [5, 5, 50, 40]), (1, 1, [9, 9, 60, 60])])
    data = tmp_path / "set"
    write_dataset({"train": dataset}, data, to="coco")
    picture = tmp_path / "s.png"
    picture.write_bytes(b"old")

    def draw() -> None:
        no_file_above(2000)
        assert main(["data", *words, str(data), "--out", str(picture)]) == 2

    assert in_child(draw) == 0
    assert picture.read_bytes() == b"old"
    assert f"{picture} cannot be written" in capfd.readouterr().err
    assert names(tmp_path) == ["a.jpg", "b.jpg", "s.png", "set"]
