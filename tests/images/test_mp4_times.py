"""Times written into an MP4 are those that OpenCV reads there; annotated videos keep theirs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.images import read_sources
from scantling.images.mp4_times import set_frame_times
from scantling.inference.outputs import Outputs
from scantling.inference.table_outputs import to_record
from scantling.structures import Detections

UNEVEN = (0.0, 0.03, 0.5, 0.52, 2.0, 2.01)
SIZE = (48, 64)


def write_video(path: Path, frames: int, *, fps: float = 10.0) -> Path:
    height, width = SIZE
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for number in range(frames):
        video.write(np.full((*SIZE, 3), 30 * number % 250, np.uint8))
    video.release()
    return path


def read_times(path: Path) -> list[float]:
    capture, times = cv2.VideoCapture(str(path)), []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return times


def annotated(path: Path, folder: Path) -> Path:
    nothing = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a",), SIZE
    )
    with Outputs(["video"], folder) as outputs:
        for frame in read_sources(path):
            outputs.write(frame, nothing)
    return folder / "video" / f"{path.stem}.mp4"


@pytest.mark.parametrize("times", [UNEVEN, (0.0, 1.0), tuple(np.cumsum([0, *[0.04, 0.2] * 60]))])
def test_opencv_reads_the_times_that_were_written(tmp_path: Path, times: tuple[float, ...]):
    path = write_video(tmp_path / "a.mp4", len(times))
    assert set_frame_times(path, times, 0.1)
    assert read_times(path) == pytest.approx(times, abs=1e-3)
    capture = cv2.VideoCapture(str(path))
    whole = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    assert whole == pytest.approx(times[-1] + 0.1, abs=0.05)


def test_a_file_that_does_not_fit_stays_as_it_was(tmp_path: Path):
    path = write_video(tmp_path / "a.mp4", 4)
    before = path.read_bytes()
    assert not set_frame_times(path, UNEVEN, 0.1)  # another number of frames
    assert not set_frame_times(path, (0, 0.2, 0.2, 0.3), 0.1)  # two at once
    assert path.read_bytes() == before
    (tmp_path / "b.mp4").write_bytes(before[: len(before) // 2])
    assert not set_frame_times(tmp_path / "b.mp4", (0, 1, 2, 3), 0.1)


def test_an_annotated_video_of_uneven_frames_keeps_their_times(tmp_path: Path):
    path = write_video(tmp_path / "screen.mp4", len(UNEVEN))
    assert set_frame_times(path, UNEVEN, 0.1)
    times = [to_record(frame, None)["time"] for frame in read_sources(path)]
    assert times == pytest.approx(UNEVEN, abs=1e-3)
    assert read_times(annotated(path, tmp_path / "out")) == pytest.approx(UNEVEN, abs=1e-3)


def test_an_annotated_video_of_one_rate_is_written_at_that(tmp_path: Path):
    path = write_video(tmp_path / "even.mp4", 12, fps=12.5)
    made = annotated(path, tmp_path / "out")
    assert read_times(made) == pytest.approx([n / 12.5 for n in range(12)], abs=1e-3)
    assert cv2.VideoCapture(str(made)).get(cv2.CAP_PROP_FPS) == 12.5
