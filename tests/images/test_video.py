"""Frames of videos and streams: whole, turned, cut off, gone."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.images import Limits, VideoInfo, count_images, read_sources


@pytest.fixture
def road(assets: Path) -> Path:
    return assets / "video/road.mp4"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Thirty frames of rising brightness, each compressed on its own."""
    path = tmp_path / "small.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(30):
        writer.write(np.full((48, 64, 3), number * 8, np.uint8))
    writer.release()
    return path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_video_gives_its_frames_in_order_as_opencv_does(road):
    capture = cv2.VideoCapture(str(road))
    frames = read_sources(road)
    for number in range(38):
        frame = next(frames)
        _, expected = capture.read()
        assert (frame.name, frame.index) == (str(road), number)
        np.testing.assert_array_equal(frame.image, expected[..., ::-1])
    assert next(frames, None) is None
    assert frame.video == VideoInfo(size=(720, 1280), fps=25.0, frame_count=38)
    assert count_images([road]) == 38


def test_a_video_that_is_turned_by_its_metadata_comes_upright(road, tmp_path):
    data = bytearray(road.read_bytes())
    quarter = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 720 * 65536, 0, 0x40000000)
    at = -1
    while (at := data.find(b"tkhd", at + 1)) >= 0:
        data[at + 44 : at + 80] = quarter  # the matrix of each track
    (tmp_path / "turned.mp4").write_bytes(data)
    turned, straight = next(read_sources(tmp_path / "turned.mp4")), next(read_sources(road))
    assert turned.video.size == turned.image.shape[:2] == (1280, 720)
    np.testing.assert_array_equal(turned.image, np.rot90(straight.image, -1))


@pytest.mark.parametrize("name", ["road", "small"])
def test_a_video_that_was_cut_off_gives_its_frames_and_then_a_problem(name, tmp_path, request):
    whole = request.getfixturevalue(name)
    cut = tmp_path / f"cut{whole.suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    *frames, last = read_sources(cut)
    assert 2 < len(frames) < 30
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(frame.problem is None for frame in frames)
    assert last.problem.startswith(f"breaks off after {len(frames)} of ")
    assert last.index == len(frames)


def test_a_whole_short_video_is_no_problem(small):
    frames = list(read_sources(small))
    assert [frame.problem for frame in frames] == [None] * 30
    brightness = [int(frame.image.mean()) for frame in frames]
    assert brightness == sorted(brightness)


def test_a_video_among_images_keeps_its_place(small, tmp_path):
    for name in ("a.png", "z.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((5, 5, 3), np.uint8))
    found = [(Path(frame.name).name, frame.index) for frame in read_sources(tmp_path)]
    assert found == [("a.png", 0), *(("small.avi", n) for n in range(30)), ("z.png", 0)]
    assert count_images(tmp_path) == 32


@pytest.mark.parametrize("content", [b"", b"hello" * 1000, b"\0\0\0\x18ftypisom"])
def test_what_is_no_video_is_a_problem_and_counts_as_one(content, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(content)
    (frame,) = read_sources(tmp_path / "bad.mp4")
    assert "cannot be opened as a video" in frame.problem
    assert count_images(tmp_path) == 1


def test_a_video_with_too_large_frames_is_refused(small):
    (frame,) = read_sources(small, limits=Limits(max_pixels=3000))
    assert frame.problem == "is 64 × 48 pixels, more than the limit of 3,000 in all"


def test_a_path_that_looks_like_a_protocol_is_a_file(small, tmp_path, monkeypatch):
    small.rename(tmp_path / "rtsp:movie.avi")
    monkeypatch.chdir(tmp_path)
    assert len(list(read_sources("rtsp:movie.avi"))) == 30


def test_a_video_that_is_left_early_is_released(small):
    frames = read_sources(small)
    next(frames)
    frames.close()
    small.unlink()
    assert next(frames, None) is None


def test_a_video_is_read_from_the_web(small, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving(small.parent) as address:
        frames = list(read_sources(f"{address}/small.avi"))
    assert [frame.index for frame in frames] == list(range(30))
    assert not any(frame.problem for frame in frames)


def test_a_stream_that_is_not_there_is_a_problem_without_its_password():
    (frame,) = read_sources("rtsp://admin:secret@127.0.0.1:9/live", limits=Limits(timeout=2))
    assert frame.name == "rtsp://admin:***@127.0.0.1:9/live"
    assert "cannot be opened" in frame.problem
    assert "secret" not in frame.problem
    assert count_images(["rtsp://127.0.0.1:9/live"]) is None


def test_a_stream_that_never_answers_is_left_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and says nothing
        port = listener.getsockname()[1]
        (frame,) = read_sources(f"rtsp://127.0.0.1:{port}/live", limits=Limits(timeout=1))
    assert "cannot be opened" in frame.problem


def test_a_camera_on_the_web_that_vanishes_is_a_problem(monkeypatch):
    """A camera of the usual kind: one JPEG after the other, until somebody pulls the plug."""
    monkeypatch.setenv("no_proxy", "*")
    found, picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))
    assert found
    part = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)

    class Camera(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            self.wfile.write((part + picture.tobytes() + b"\r\n") * 50)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/live"
        *frames, last = read_sources(address, limits=Limits(timeout=60))
        server.shutdown()
    assert len(frames) > 30
    assert abs(int(frames[0].image.mean()) - 90) <= 2
    assert frames[0].video.frame_count is None
    assert last.problem == f"stopped after {len(frames)} frames"
