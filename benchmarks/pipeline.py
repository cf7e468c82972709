"""JPEG file → boxes: this package against OpenCV's DetectionModel and an ultralytics model.

    python benchmarks/pipeline.py photo.jpg --file tiny-bf16.xml --file tiny-int8.xml \\
        --cfg yolov4-tiny.cfg --weights yolov4-tiny.weights --ultralytics yolo11n_openvino_model

Three tables, each for JPEG files of 640×480 and 1920×1080 made from the photograph:
from Python (a loaded model, path in, boxes out), from the command line (the whole process, to its
first boxes and to its end), and over a folder (images a second, beside the network alone).

Every contender has a process of its own, as importing ultralytics changes what OpenCV does in the
whole process; they take turns, so that only one works at a time, and each times itself. × is the
median of the ratios of the turns to the first row, with its quartiles: above 1 is faster.
ultralytics is used as it is installed (set PYTHONPATH for one that is not) and only called.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from scantling.benchmarking.timings import Timing, ratio_of, spread_of, timed

SIZES = {"640×480": (480, 640), "1920×1080": (1080, 1920)}
MIN_SCORE, IOU = 0.25, 0.45
WARM_UP = 4
FOLDER = 24  # images of the folder


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; or, as a worker, do what standard input says."""
    if argv is None and sys.argv[1:2] == ["--worker"]:
        return work(json.loads(sys.argv[2]))
    options = parse(argv)
    contenders = find_contenders(options)
    with tempfile.TemporaryDirectory() as folder:
        for label, size in SIZES.items():
            path = resized(options.photo, size, Path(folder) / f"{label}.jpg")
            print(f"\n{label} JPEG, {path.stat().st_size / 1000:.0f} kB; {options.threads} threads")
            from_python(contenders, path, options.rounds)
            over_folder(contenders, path, options.stretches, options.seconds)
            from_command_line(contenders, path, options.starts)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, help="a photograph")
    parser.add_argument("--file", action="append", default=[], help="exported; may be repeated")
    parser.add_argument("--cfg", help="for OpenCV")
    parser.add_argument("--weights", help="of the .cfg")
    parser.add_argument("--size", type=int, default=416, help="of OpenCV's input")
    parser.add_argument("--ultralytics", help="its model: a file or an exported folder")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="from Python (%(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="of commands (%(default)s)")
    parser.add_argument("--stretches", type=int, default=5, help="over the folder (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a stretch (%(default)s)")
    options = parser.parse_args(argv)
    if not (options.cfg or options.ultralytics or options.file):
        parser.error("nothing to measure: --cfg and --weights, --file, or --ultralytics")
    return options


@dataclass(frozen=True)
class Contender:
    """Who takes part.

    Args:
        name: in the tables.
        told: what its worker is told.
        command: of a whole process; `IMAGE` stands for the image file.
    """

    name: str
    told: dict[str, Any]
    command: list[str]


def find_contenders(options: argparse.Namespace) -> list[Contender]:
    """OpenCV, ultralytics and every exported file, as far as they are named."""
    found = []
    python, threads = sys.executable, options.threads
    if options.cfg:
        opencv = {"cfg": options.cfg, "weights": options.weights, "size": options.size}
        opencv |= {"kind": "opencv", "threads": threads}
        told = json.dumps(opencv)
        once = [python, str(Path(__file__).resolve()), "--worker", told, "IMAGE"]
        found.append(Contender("OpenCV DetectionModel", opencv, once))
    if options.ultralytics:
        code = (
            "import sys; from ultralytics import YOLO; "
            "found = YOLO(sys.argv[1], task='detect')(sys.argv[2], verbose=False); "
            "print(len(found[0].boxes))"
        )
        told_of = {"kind": "ultralytics", "model": options.ultralytics, "threads": threads}
        command = [python, "-c", code, options.ultralytics, "IMAGE"]
        name = f"ultralytics {Path(options.ultralytics).name}"
        found.append(Contender(name, told_of, command))
    for file in options.file:
        streams = (1, threads) if threads > 1 else (1,)
        for count in streams:
            told_of = {"kind": "scantling", "model": file, "threads": threads, "streams": count}
            command = [python, "-m", "scantling", "predict", "IMAGE", "--model", file, "--json"]
            command += ["--set", f"threads={threads}"]
            name = f"scantling {Path(file).name}{f', {count} streams' if count > 1 else ''}"
            found.append(Contender(name, told_of, command if count == 1 else []))
    return found


def resized(photo: Path, size: tuple[int, int], path: Path) -> Path:
    """The photograph as a JPEG file of that size, cut to its shape."""
    image = cv2.imread(str(photo))
    if image is None:
        raise SystemExit(f"{photo} cannot be read")
    height, width = size
    scale = max(height / image.shape[0], width / image.shape[1])
    sides = (-(-int(image.shape[1] * scale) // 1), -(-int(image.shape[0] * scale) // 1))
    larger = cv2.resize(image, (max(width, sides[0]), max(height, sides[1])))
    top, left = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
    cut = np.ascontiguousarray(larger[top : top + height, left : left + width])
    path.write_bytes(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return path


class Worker:
    """A contender in a process of its own, which does one thing at a time and times itself."""

    def __init__(self, contender: Contender) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - this file, in this Python
            [sys.executable, str(Path(__file__).resolve()), "--worker", json.dumps(contender.told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.read()

    def ask(self, **what: object) -> dict[str, Any]:
        """Let it do something and wait for what it says."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        """Its next line; libraries may print others."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"it ended with exit code {self.process.wait()}")

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def working(contenders: Sequence[Contender]) -> Iterator[dict[str, Worker]]:
    """Those that start, by name."""
    workers: dict[str, Worker] = {}
    try:
        for one in contenders:
            try:
                workers[one.name] = Worker(one)
            except (RuntimeError, OSError) as error:
                print(f"left out: {one.name}: {error}")
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def from_python(contenders: Sequence[Contender], path: Path, rounds: int) -> None:
    """A loaded model: path in, boxes out, by turns."""
    with working(contenders) as workers:
        samples: dict[str, list[Timing]] = {name: [] for name in workers}
        objects = {}
        for number in range(WARM_UP + rounds):
            for name, worker in workers.items():
                said = worker.ask(do="image", path=str(path))
                objects[name] = said["objects"]
                if number >= WARM_UP:
                    samples[name].append(Timing(said["seconds"], said["waited"]))
    report("from Python, file → boxes, ms", samples, {n: f"{c} found" for n, c in objects.items()})


def over_folder(
    contenders: Sequence[Contender], path: Path, stretches: int, seconds: float
) -> None:
    """Images a second without a pause, and those of the network alone."""
    with working(contenders) as workers:
        files: dict[str, list[Timing]] = {name: [] for name in workers}
        network: dict[str, list[Timing]] = {name: [] for name in workers}
        for _ in range(stretches):
            for name, worker in workers.items():
                said = worker.ask(do="folder", path=str(path), seconds=seconds)
                files[name].append(Timing(said["rate"], said["waited"]))
                if said["network"] is not None:
                    network[name].append(Timing(said["network"], said["network_waited"]))
    notes = {}
    for name, alone in network.items():
        share = ratio_of(alone, files[name], rates=True) if alone else None
        middle = spread_of(alone)
        if share is not None and middle is not None:
            notes[name] = f"network alone {middle.median:.1f}, of which {share.median:.0%}"
    report("over a folder, images/s", files, notes, rates=True)


def from_command_line(contenders: Sequence[Contender], path: Path, starts: int) -> None:
    """Whole processes, by turns: to the first line of output, and to the end."""
    commands = {one.name: one.command for one in contenders if one.command}
    whole: dict[str, list[Timing]] = {name: [] for name in commands}
    first: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(starts + 1):
        for name in list(commands):
            words = [str(path) if word == "IMAGE" else word for word in commands[name]]
            start = perf_counter()
            process = subprocess.Popen(  # noqa: S603 - what the caller asked to measure
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
            process.stdout.readline()
            to_first = perf_counter() - start
            _, complaint = process.communicate()
            elapsed = perf_counter() - start
            if process.returncode:
                print(f"left out: {name}: {complaint.decode(errors='replace').strip()[-300:]}")
                del commands[name], whole[name]
            elif number:  # the first fills caches
                whole[name].append(Timing(elapsed))
                first[name].append(to_first)
    notes = {name: f"first line after {np.median(first[name]):.2f} s" for name in whole}
    report("from the command line, whole process, ms", whole, notes)


def report(
    title: str, samples: dict[str, list[Timing]], notes: dict[str, str], *, rates: bool = False
) -> None:
    """Print a row per contender."""
    print(f"{title:<44}{'median (min–max)':>24}{'×':>7}{'quartiles':>13}  disturbed")
    scale = 1 if rates else 1e3
    base = next(iter(samples.values()), [])
    for name, own in samples.items():
        spread, ratio = spread_of(own), ratio_of(base, own, rates=rates)
        if spread is None or ratio is None:
            continue
        values = [value * scale for value in (spread.median, spread.low, spread.high)]
        shown = "{:.1f} ({:.1f}–{:.1f})".format(*values)
        quartiles = f"{ratio.lower:.2f}–{ratio.upper:.2f}"
        kept = f"{spread.disturbed} of {len(own)}{'' if spread.cleaned else ' kept'}"
        figures = f"{shown:>24}{ratio.median:>7.2f}{quartiles:>13}"
        print(f"  {name:<42}{figures}  {kept}; {notes.get(name, '')}")


Find = Callable[[str], int]


def work(told: dict[str, Any]) -> int:
    """As a worker: do one thing a line, and say how long it took."""
    find, folder = WORKERS[told["kind"]](told)
    if len(sys.argv) > 3:  # as a command: one image
        print(find(sys.argv[3]))
        return 0
    say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        path = asked["path"]
        if asked["do"] == "image":
            count, sample = timed(lambda path=path: find(path))
            say(seconds=sample.value, waited=sample.waited, objects=count)
        else:
            say(**folder(path, asked["seconds"]))
    return 0


def say(**facts: object) -> None:
    """A line for the process that asks."""
    print(json.dumps(facts), flush=True)


def in_line(find: Find) -> Callable[[str, float], dict[str, Any]]:
    """A folder as one image after the other: for who offers nothing else."""
    from scantling.benchmarking.trials import rate_of

    def folder(path: str, seconds: float) -> dict[str, Any]:
        done = (find(path) * 0 + 1 for _ in iter(int, 1))
        sample = rate_of(done, seconds, skipped=2, least=4)
        return {"rate": sample.value, "waited": sample.waited, "network": None}

    return folder


def opencv_worker(told: dict[str, Any]) -> tuple[Find, Callable[[str, float], dict[str, Any]]]:
    """`imread` and `DetectionModel`."""
    cv2.setNumThreads(told["threads"])
    network = cv2.dnn.readNetFromDarknet(told["cfg"], told["weights"])
    model = cv2.dnn.DetectionModel(network)
    model.setInputParams(scale=1 / 255, size=(told["size"], told["size"]), swapRB=True)

    def find(path: str) -> int:
        return len(model.detect(cv2.imread(path), MIN_SCORE, IOU)[0])

    return find, in_line(find)


def ultralytics_worker(told: dict[str, Any]) -> tuple[Find, Callable[[str, float], dict[str, Any]]]:
    """A black box: called as its users call it, one image at a time, and with a folder."""
    os.environ.setdefault("OMP_NUM_THREADS", str(told["threads"]))
    from ultralytics import YOLO

    from scantling.benchmarking.trials import rate_of

    model = YOLO(told["model"], task="detect")

    def find(path: str) -> int:
        return len(model(path, verbose=False)[0].boxes)

    def folder(path: str, seconds: float) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as place:
            data = Path(path).read_bytes()
            for number in range(FOLDER):
                (Path(place) / f"{number}.jpg").write_bytes(data)

            def done() -> Iterator[int]:
                while True:
                    for _ in model(place, stream=True, verbose=False):
                        yield 1

            sample = rate_of(done(), seconds, skipped=2, least=4)
        return {"rate": sample.value, "waited": sample.waited, "network": None}

    return find, folder


def scantling_worker(told: dict[str, Any]) -> tuple[Find, Callable[[str, float], dict[str, Any]]]:
    """This package, with an exported file."""
    from scantling import Selection, load
    from scantling.benchmarking import Contender as Way, Source
    from scantling.benchmarking.trials import Entry, measure_throughput, prepare

    predictor = load(
        told["model"],
        device="cpu",
        threads=told["threads"],
        streams=told["streams"],
        selection=Selection(min_score=MIN_SCORE, iou_threshold=IOU, multi_label=False),
    )
    entry = Entry(Way(Source(told["model"])))

    def find(path: str) -> int:
        return len(predictor(path))

    def folder(path: str, seconds: float) -> dict[str, Any]:
        if entry.batch is None:
            prepare(entry, predictor, Path(path))
        found = measure_throughput(entry, predictor, [Path(path)], seconds)
        return {
            "rate": found.files.value,
            "waited": found.files.waited,
            "network": found.network.value,
            "network_waited": found.network.waited,
        }

    return find, folder


WORKERS = {
    "opencv": opencv_worker,
    "ultralytics": ultralytics_worker,
    "scantling": scantling_worker,
}


if __name__ == "__main__":
    sys.exit(main())
