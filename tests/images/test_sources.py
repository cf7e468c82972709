"""What every kind of source gives, what breaks, and that the rest goes on."""

import io
import itertools
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import scantling
from scantling.errors import InvalidValue
from scantling.images import Limits, count_images, prefetch, read_sources

ROOT = Path(scantling.__file__).parents[1]


def write(path: Path, *, side: int = 8, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (side, side), (value, value, value)).save(path)
    return path


def names(sources: object) -> list[str]:
    return [Path(frame.name).name for frame in read_sources(sources) if frame.problem is None]


def problems(sources: object, **settings: object) -> list[str]:
    return [f"{f.name}: {f.problem}" for f in read_sources(sources, **settings) if f.problem]


def test_a_single_path_gives_one_frame(tmp_path):
    path = write(tmp_path / "a.png")
    for source in (path, str(path), [path], (str(path),)):
        (frame,) = read_sources(source)
        assert (frame.name, frame.index, frame.problem, frame.video) == (str(path), 0, None, None)
        assert frame.image.shape == (8, 8, 3)
        assert count_images(source) == 1


def test_a_folder_is_read_with_those_below_sorted_and_without_hidden_ones(tmp_path):
    for name in ("b.png", "a.JPG", "sub/c.png", "sub/.hidden.png", ".git/d.png", "a_dir/e.webp"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("b.png")
    (tmp_path / "data.json").write_text("{}")
    assert names(tmp_path) == ["a.JPG", "b.png", "e.webp", "c.png"]
    assert count_images(tmp_path) == 4
    assert problems(tmp_path) == []


def test_a_folder_linked_into_itself_ends(tmp_path):
    write(tmp_path / "a.png")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert names(tmp_path) == ["a.png"]


def test_an_empty_folder_and_one_without_images_are_problems(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/readme.md").write_text("hello")
    (empty,) = problems(tmp_path / "empty")
    assert empty.startswith(f"{tmp_path / 'empty'}: has no files; images end in .avif .bmp")
    (other,) = problems(tmp_path / "other")
    assert "none of its 1 files is an image or a video" in other
    assert ".jpg" in other
    assert ".mp4" in other


def test_a_pattern_reaches_any_depth_and_takes_images_only(tmp_path):
    for name in ("x/1.png", "x/y/2.png", "x/y/z/3.png"):
        write(tmp_path / name)
    (tmp_path / "x/y/2.json").write_text("{}")
    assert names(str(tmp_path / "x/**/*")) == ["1.png", "2.png", "3.png"]
    assert names(str(tmp_path / "x/*/[0-9].png")) == ["2.png"]
    assert "as a pattern it matches none" in problems(str(tmp_path / "*.tiff"))[0]
    assert "none of the 1 names it matches" in problems(str(tmp_path / "x/y/*.json"))[0]


def test_a_name_that_exists_is_no_pattern(tmp_path):
    write(tmp_path / "shot[1].png")
    write(tmp_path / "shot1.png")
    assert names(str(tmp_path / "shot[1].png")) == ["shot[1].png"]


def test_names_with_spaces_newlines_and_odd_bytes_survive(tmp_path):
    odd = [b" leading and trailing ", b"new\nline", b"not\xff\xfeutf8", "größe 寸".encode()]
    for name in odd:
        shutil.copy(write(tmp_path / "plain.png"), os.fsencode(tmp_path) + b"/" + name + b".png")
    (tmp_path / "plain.png").unlink()
    found = [os.fsencode(frame.name) for frame in read_sources(tmp_path) if frame.image is not None]
    assert sorted(found) == sorted(os.fsencode(tmp_path) + b"/" + name + b".png" for name in odd)


def test_a_list_names_images_beside_it_or_from_here(tmp_path, monkeypatch):
    write(tmp_path / "set/images/a b.png")
    write(tmp_path / "here/c.png")
    write(tmp_path / "set/images/ d.png")
    lines = [
        "\ufeff# a comment",
        "",
        "images/a b.png",
        "c.png\r",
        "  images/a b.png ",
        "images/ d.png",
    ]
    (tmp_path / "set/train.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    assert names(tmp_path / "set/train.txt") == ["a b.png", "c.png", "a b.png", " d.png"]
    assert count_images(str(tmp_path / "set/train.txt")) == 4


def test_a_list_that_names_itself_or_another_does_not_recurse(tmp_path):
    (tmp_path / "a.txt").write_text("a.txt\nb.txt\n*.png\n-\n")
    (tmp_path / "b.txt").write_text("a.txt\n")
    write(tmp_path / "x.png")
    found = problems(tmp_path / "a.txt")
    assert [message.split(": ")[1][:11] for message in found] == ["is a list i"] * 2 + [
        "no such fil"
    ] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names nothing"),
        (b"# only this\n\n", "names nothing"),
        (b"x" * 40_000, "more than 32,768 bytes"),
        (b"a\0b.jpg\n", "cannot be read"),
        (b"gone.jpg\n", "no such file in "),
    ],
)
def test_a_list_that_is_none_says_so(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    (found,) = problems(tmp_path / "list.txt")
    assert message in found


def test_a_missing_file_names_the_nearest(tmp_path):
    write(tmp_path / "dog.jpg")
    (found,) = problems(str(tmp_path / "dgo.jpg"))
    assert "no such file or folder; the nearest name there is 'dog.jpg'" in found
    assert "cannot be read: no such file" in problems(str(tmp_path / "nowhere/dog.jpg"))[0]
    assert "no such file or folder" in problems("zzz-nothing.jpg")[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path):
    for name in ("a.jpg", "a.mp4", "a.txt"):
        os.mkfifo(tmp_path / name)
        assert "is a pipe" in problems(tmp_path / name)[0]
    assert [message.split(": ")[1] for message in problems(tmp_path)] == [
        "is a pipe, not a file"
    ] * 2
    assert "is a device" in problems("/dev/zero")[0]


def test_one_bad_image_never_stops_the_rest(tmp_path):
    for number in range(12):
        write(tmp_path / f"{number:02}.png", side=number + 1)
    (tmp_path / "03.png").write_bytes(b"nonsense")
    (tmp_path / "07.png").write_bytes((tmp_path / "08.png").read_bytes()[:50])
    frames = list(read_sources(tmp_path, workers=3))
    assert [Path(frame.name).name for frame in frames] == [f"{n:02}.png" for n in range(12)]
    assert [n for n, frame in enumerate(frames) if frame.problem] == [3, 7]
    assert [f.image.shape[0] for f in frames if f.image is not None] == [
        n + 1 for n in range(12) if n not in (3, 7)
    ]


def test_images_in_memory_are_sources_too(tmp_path):
    array = np.full((4, 6, 3), 9, np.uint8)
    encoded = io.BytesIO()
    PIL.Image.fromarray(array).save(encoded, "PNG")
    sources = [
        array,
        PIL.Image.fromarray(array),
        encoded.getvalue(),
        array.astype(np.float32),
        None,
    ]
    frames = list(read_sources(sources))
    assert [frame.name for frame in frames] == [f"image {n}" for n in range(5)]
    assert all((frame.image == array).all() for frame in frames[:3])
    assert "float32" in frames[3].problem
    assert "NoneType" in frames[4].problem
    assert count_images(sources) == 5
    assert len(list(read_sources(array))) == 1


def test_a_generator_is_read_as_it_comes_and_not_used_up_by_counting(tmp_path):
    path = write(tmp_path / "a.png")
    taken = []

    def endless() -> Iterator[Path]:
        for number in itertools.count():
            taken.append(number)
            yield path

    source = endless()
    assert count_images(source) is None
    frames = read_sources(source)
    for expected in range(5):
        assert next(frames).image.shape == (8, 8, 3)
        assert len(taken) == expected + 1
    frames.close()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    path = write(tmp_path / "a.png", side=300)  # 270 kB decoded

    def peak(count: int) -> int:
        (tmp_path / "list.txt").write_text(f"{path}\n" * count)
        tracemalloc.start()
        try:
            read = sum(
                frame.image is not None for frame in prefetch(read_sources(tmp_path / "list.txt"))
            )
            assert read == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(20), peak(200)
    assert few > 270_000  # the images are seen by what measures
    assert many < few + 1_000_000


def test_limits_reach_every_image(tmp_path):
    path = write(tmp_path / "a.png", side=100)
    assert "more than the limit of 9,999" in problems(path, limits=Limits(max_pixels=9_999))[0]
    assert "more than the limit of 10" in problems(path, limits=Limits(max_bytes=10))[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/a.jpg", "ftp:// is not read; expected http, https"),
        ("file:///etc/passwd", "for a file, give its path"),
        ("s3://bucket/a.jpg", "s3:// is not read"),
        ("http://[broken/a.jpg", "is no URL"),
        ("a\0b.jpg", "cannot be read"),
    ],
)
def test_a_source_that_makes_no_sense_is_a_problem(source, message):
    (found,) = problems(source)
    assert message in found


def test_a_camera_that_is_not_there_is_a_problem():
    (frame,) = read_sources("97")
    assert (frame.name, frame.image) == ("camera 97", None)
    assert "no such camera" in frame.problem
    assert "no camera" in problems([-1])[0]
    assert count_images(["97"]) is None


def test_workers_must_be_at_least_one():
    with pytest.raises(InvalidValue, match="workers is 0"):
        read_sources([], workers=0)


def test_no_sources_give_no_frames():
    assert list(read_sources([])) == []
    assert count_images([]) == 0


PIPE = """
import sys
from scantling.images import count_images, prefetch, read_sources
assert count_images("-") is None
for frame in prefetch(read_sources("-")):
    print(frame.name, "bad" if frame.problem else "good", flush=True)
"""


def start_pipe() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PIPE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_paths_on_standard_input_are_answered_one_by_one(tmp_path):
    path = write(tmp_path / "a b.png")
    with start_pipe() as process:
        for line, answer in [(f"{path}\n", f"{path} good\n"), ("gone.png\n", "gone.png bad\n")] * 2:
            process.stdin.write(line.encode())
            process.stdin.flush()  # and the answer comes before the next line is written
            assert process.stdout.readline().decode() == answer
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(300) == 0


def test_a_program_ends_while_its_reader_waits_on_standard_input():
    code = "\n".join(
        [
            "import threading, time",
            "from scantling.images import prefetch, read_sources",
            "frames = prefetch(read_sources('-'))",
            "threading.Thread(target=lambda: list(frames), daemon=True).start()",
            "time.sleep(0.3)",
            "frames.close()",
        ]
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.wait(300) == 0
        assert process.stderr.read() == b""
        process.stdin.close()
