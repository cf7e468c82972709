"""Start-up time and peak memory of one contender, in an isolated process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from .contender import Contender

SCRIPT = Path(__file__).with_name("isolated.py")
ROOT = Path(__file__).parents[2]  # where `scantling` is imported from
LONGEST = 900.0  # seconds; a build for the device may take minutes
PASSES = 2  # over the images, after the first


@dataclass(frozen=True)
class IsolatedRun:
    """Result of one isolated process.

    Args:
        start: seconds from its command to the boxes of the first image.
        memory: bytes that it had resident at most, shared libraries included; None if unknown.
        device_memory: bytes that torch had on the GPU at most; None where it was not used.
        problem: why it did not come that far; then the rest says nothing.
    """

    start: float = 0.0
    memory: int | None = None
    device_memory: int | None = None
    problem: str | None = None


def run_isolated(
    contender: Contender,
    images: Sequence[Path],
    *,
    cache: Path | None = None,
    passes: int = PASSES,
    longest: float = LONGEST,
) -> IsolatedRun:
    """Load the contender in a fresh Python, find the objects in the images, and end.

    Args:
        contender: what to load.
        images: files.
        cache: folder for downloaded weights and converted models.
        passes: over the images.
        longest: seconds after which it is ended.
    """
    batch = contender.batch
    told = {
        "settings": contender.settings | ({} if cache is None else {"cache": str(cache)}),
        "images": [str(path) for path in (list(images) * batch)[: max(batch, len(images))]],
        "batch": batch,
        "passes": passes,
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    start = perf_counter()
    with subprocess.Popen(  # noqa: S603 - this Python, on a file of this package
        [sys.executable, "-P", str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        timer = threading.Timer(longest, process.kill)
        timer.daemon = True
        timer.start()
        try:
            return _listen(process, json.dumps(told), start, longest)
        finally:
            timer.cancel()
            process.kill()  # of no effect on one that has ended
            with suppress(BrokenPipeError):  # what it never read
                if process.stdin is not None:
                    process.stdin.close()


def _listen(
    process: "subprocess.Popen[str]", told: str, start: float, longest: float
) -> IsolatedRun:
    """Tell the process what to do, and make what it says into a result."""
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        return IsolatedRun(problem="the process has no pipes")
    complaints: list[str] = []
    # beside the results, so that neither pipe can fill up
    reader = threading.Thread(target=lambda: complaints.extend(stderr), daemon=True)
    reader.start()
    with suppress(BrokenPipeError):  # it ended already: its output says why
        stdin.write(told + "\n")
        stdin.flush()  # and stays open: its end ends the process
    seconds = None
    facts: dict[str, Any] = {}
    for line in stdout:
        if line.startswith("{"):  # a library may print, too
            facts |= json.loads(line)
        if seconds is None and "first" in facts:
            seconds = perf_counter() - start
    code = process.wait()
    reader.join(1.0)
    if code == 0 and seconds is not None and "memory" in facts:
        return IsolatedRun(seconds, facts["memory"], facts["device_memory"])
    if "problem" in facts:
        return IsolatedRun(problem=facts["problem"])
    if perf_counter() - start >= longest:
        return IsolatedRun(problem=f"it was ended after {longest:.0f} s")
    last = next((line.strip() for line in reversed(complaints) if line.strip()), "")
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return IsolatedRun(problem=f"its process ended {how}{f': {last}' if last else ''}")
