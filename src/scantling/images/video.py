"""Frames of video files, network streams and cameras, in order, one at a time."""

import math
from collections.abc import Iterator
from typing import Any

import cv2

from ..errors import InvalidSource
from ..structures import Image
from .read import MAX_PIXELS, Frame, VideoInfo

TIMEOUT = 10.0  # seconds


def read_video(
    source: str | int,
    name: str,
    *,
    live: bool = False,
    timeout: float = TIMEOUT,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Frame]:
    """The frames of one video; where it cannot be opened or breaks off, a last one with a problem.

    Frames are turned upright as the video's metadata says.

    Args:
        source: an absolute path, the URL of a stream, or the index of a camera.
        name: what the frames are called.
        live: a stream or camera. Where it gives no count of frames, any end is a problem; it is
            never tried again.
        timeout: seconds to wait for a stream to open, and for each frame.
        max_pixels: largest width × height of a frame.
    """
    capture = None
    try:
        capture = _open(source, timeout=timeout)
        video = _describe(capture)
        height, width = video.size
        if height * width > max_pixels:
            raise InvalidSource(
                name, f"is {width} × {height} pixels, more than the limit of {max_pixels:,} in all"
            )
        yield from _frames(capture, name, video, live=live)
    except InvalidSource as error:
        yield Frame(name=name, problem=error.problem)
    finally:
        if capture is not None:
            capture.release()


def count_frames(path: str) -> int | None:
    """How many frames a video file says it has; None where it does not say."""
    try:
        capture = _open(path, timeout=TIMEOUT)
    except InvalidSource:
        return 1  # the frame that reports the problem
    try:
        return _describe(capture).frame_count
    finally:
        capture.release()


def _open(source: str | int, *, timeout: float) -> Any:
    backend, settings = cv2.CAP_ANY, []
    if isinstance(source, str) and cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
        # By name, so that no other backend takes a `%` in a path for a numbered series of images.
        backend = cv2.CAP_FFMPEG
        milliseconds = int(timeout * 1000)
        settings = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            milliseconds,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            milliseconds,
        ]
    try:
        capture = cv2.VideoCapture(source, backend, settings)
    except cv2.error as error:
        raise InvalidSource(str(source), f"cannot be opened: {error.err}") from error
    if not capture.isOpened():
        capture.release()
        what = "no such camera, or it is in use" if isinstance(source, int) else (
            "cannot be opened as a video: damaged, cut off, not reachable, or of a kind that"
            f" OpenCV {cv2.__version__} does not read"
        )  # fmt: skip
        raise InvalidSource(str(source), what)
    return capture


def _describe(capture: Any) -> VideoInfo:
    fps = capture.get(cv2.CAP_PROP_FPS)
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return VideoInfo(
        size=(
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        ),
        # Containers without a frame rate report their clock's instead, such as 90,000.
        fps=float(fps) if math.isfinite(fps) and 0 < fps <= 1000 else None,
        frame_count=int(count) if math.isfinite(count) and 0 < count < 2**40 else None,
    )


def _frames(capture: Any, name: str, video: VideoInfo, *, live: bool) -> Iterator[Frame]:
    index, seconds = 0, 0.0
    while (image := _next_image(capture)) is not None:
        seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        told = math.isfinite(seconds) and (seconds > 0 if index else seconds >= 0)
        time = seconds if told else None
        yield Frame(name=name, image=image, index=index, video=video, time=time)
        index += 1
    problem = None
    if index == 0:
        problem = "opened as a video, but no frame of it can be decoded"
    elif video.frame_count is None:
        problem = f"stopped after {index} frames" if live else None
    elif _breaks_off(video, index, seconds):
        problem = f"breaks off after {index} of {video.frame_count} frames: cut off or damaged"
    if problem:
        yield Frame(name=name, problem=problem, index=index, video=video)


def _next_image(capture: Any) -> Image | None:
    try:
        found, frame = capture.read()
    except cv2.error:  # a decoder that gives up has nothing more to say
        return None
    if not found or frame is None:
        return None
    code = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
    image: Image = cv2.cvtColor(frame, code)
    return image


def _breaks_off(video: VideoInfo, read: int, seconds: float) -> bool:
    """Whether a file ended well before what it promised, both in frames and in time.

    Either alone misleads: counts are often estimated from the frame rate, and the rate may vary.
    """
    if video.frame_count is None or video.fps is None:
        return False
    missing = video.frame_count - read
    remaining = video.frame_count / video.fps - seconds
    slack = max(3, 0.02 * video.frame_count)
    return missing >= slack and remaining >= slack / video.fps
