"""One image file → boxes, with yolov4-tiny: this package against OpenCV's DetectionModel.

Both run in one process, by turns, on the same file, with the same number of threads. A turn reads
the file, resizes, runs the network and selects the boxes. The ratio is OpenCV's time over ours,
turn by turn, so that whatever else the machine does weighs on both: above 1, ours is the faster.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import torch

import scantling

ROOT = Path(__file__).parents[1]
ASSETS = Path(os.environ.get("SCANTLING_ASSETS", ROOT.parent / "shared" / "assets"))
MODEL = ASSETS / "weights" / "yolov4-tiny-coco"
PRECISIONS = ("fp32", "bf16")
MIN_SCORE, IOU_THRESHOLD = 0.25, 0.45

Find = Callable[[str], int]  # the path of an image → how many objects are in it


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 2 when this OpenCV cannot take part."""
    options = parse(argv)
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        print(
            f"OpenCV {cv2.__version__} reads no darknet files (OpenCV 5 dropped them);"
            " pip install 'opencv-python-headless<5' to compare.",
            file=sys.stderr,
        )
        return 2
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    contenders = {"opencv": opencv_finder(options.cfg, options.weights)}
    for precision in PRECISIONS:
        try:
            contenders[precision] = scantling_finder(options.cfg, options.weights, precision)
        except scantling.ScantlingError as error:
            print(f"left out: {error}")
    image = str(options.image)
    found = {name: find(image) for name, find in contenders.items()}
    print(f"{image}: objects found {found}")
    report(take_turns(contenders, image, options.rounds), options.threads)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; where the files lie, unless told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cfg", type=Path, default=MODEL / "yolov4-tiny.cfg")
    parser.add_argument("--weights", type=Path, default=MODEL / "yolov4-tiny.weights")
    parser.add_argument("--image", type=Path, default=ASSETS / "images" / "darknet" / "dog.jpg")
    parser.add_argument("--rounds", type=int, default=40, help="turns each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of both (default: %(default)s)")
    options = parser.parse_args(argv)
    for path in (options.cfg, options.weights, options.image):
        if not path.is_file():
            parser.error(f"no file {path}; name it with an option, or set SCANTLING_ASSETS")
    return options


def opencv_finder(cfg: Path, weights: Path) -> Find:
    """OpenCV's own way from a file to boxes."""
    network = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    model = cv2.dnn.DetectionModel(network)
    model.setInputParams(scale=1 / 255, size=(416, 416), swapRB=True)

    def find(path: str) -> int:
        labels, _, _ = model.detect(cv2.imread(path), MIN_SCORE, IOU_THRESHOLD)
        return len(labels)

    return find


def scantling_finder(cfg: Path, weights: Path, precision: str) -> Find:
    """This package's: what `scantling.load` gives."""
    predictor = scantling.load(
        cfg,
        weights=weights,
        device="cpu",
        precision=precision,
        image_size=416,
        resize_mode="stretch",
        selection=scantling.Selection(
            min_score=MIN_SCORE, iou_threshold=IOU_THRESHOLD, multi_label=False
        ),
    )
    return lambda path: len(predictor(path))


def take_turns(
    contenders: dict[str, Find], image: str, rounds: int, *, warm_up: int = 5
) -> dict[str, list[float]]:
    """Seconds of each turn by contender; the first `warm_up` rounds do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warm_up + rounds):
        for name, find in contenders.items():
            start = perf_counter()
            find(image)
            if turn >= warm_up:
                seconds[name].append(perf_counter() - start)
    return seconds


def report(seconds: dict[str, list[float]], threads: int) -> None:
    """Print a row per contender: median and spread of its time, and of its ratio to OpenCV."""
    print(
        f"torch {torch.__version__}, OpenCV {cv2.__version__}, {threads} threads,"
        f" {len(seconds['opencv'])} turns each"
    )
    print(f"{'':<16} {'median ms':>10} {'min – max':>16} {'OpenCV / this':>14} {'min – max':>14}")
    for name, times in seconds.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds["opencv"], times, strict=True)]
        label = name if name == "opencv" else f"scantling {name}"
        print(
            f"{label:<16} {median(times) * 1e3:>10.1f}"
            f" {min(times) * 1e3:>7.1f} – {max(times) * 1e3:<6.1f}"
            f" {median(ratios):>14.2f} {min(ratios):>6.2f} – {max(ratios):<5.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
