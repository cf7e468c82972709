"""One contender in a process of its own: to its first boxes, and how much memory it took.

It is started by its path (see `process`), so that nothing is loaded that predicting does not need.
It reads one line of JSON and writes two: the first when the first image is done. It ends when its
standard input does, for then the program that started it is no more.
"""

import json
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any


def main() -> int:
    """Do what the line on standard input says."""
    told = json.loads(sys.stdin.readline())
    Thread(target=_end_with_input, daemon=True).start()
    from scantling.errors import ScantlingError
    from scantling.inference import load
    from scantling.postprocess import Selection

    given = told["settings"]
    size = given["image_size"]
    given["image_size"] = None if size is None else tuple(size)
    try:
        predictor = load(**given, selection=Selection())
        predictor(told["images"][0])
        _tell({"first": True})
        for _ in range(told["passes"]):
            stream = predictor.stream(told["images"], batch_size=told["batch"], keep_images=False)
            for _ in stream:
                pass
    except ScantlingError as error:
        _tell({"problem": str(error)})
        return 2
    _tell({"memory": peak_memory(), "device_memory": peak_device_memory()})
    return 0


def peak_memory() -> int | None:
    """Bytes of memory that this process had at most; None where the system does not say."""
    # not getrusage first: Linux lets a new process inherit the peak of the one that started it
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_device_memory() -> int | None:
    """Bytes that torch had on the GPU at most; None where it was not used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated())


def _end_with_input() -> None:
    while os.read(0, 1024):  # not by `sys.stdin`, whose lock Python would wait for at its end
        pass
    os._exit(1)


def _tell(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
