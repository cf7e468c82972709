"""Run the demo: draw a data set, train, evaluate, predict."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from ..checkpoints import create_model, save_model
from ..datasets.contact_sheets import dataset_sheet
from ..datasets.readers import read_dataset
from ..engines.torch_engine import torch_threads
from ..errors import InvalidValue
from ..evaluation import evaluate, save_report
from ..inference import predict
from ..inference.outputs import Outputs
from ..io import LEFT, make_folder, write_file
from ..io.folders import Lock, temporary_folder
from ..reports.drawing import encode_image
from ..training import EpochDone, open_run
from .fitting import EPOCHS_A_MINUTE, FEWEST_EPOCHS, Fit, fit_training, time_steps
from .recipe import make_settings, thin_tiny
from .scenes import NAMES, draw_dataset

logger = logging.getLogger(__name__)

IMAGES = 800  # to learn from; a tenth as many to watch the training, a fifth to judge the result
LEAST_IMAGES = 10
REST = 0.5  # minutes of drawing, evaluating and predicting, on two idle cores
PICTURES = 12
SHEET_IMAGES = 24
EVALUATION_BATCH = 8
# progress(stage, done, in all, what there is to say about it)
Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Demo:
    """The results of the demo.

    Args:
        folder: with everything in it.
        data: the drawn data set, a `data.yaml` with the splits `train`, `val` and `test`.
        sheet: some of its images with their labels.
        start: the model before training.
        run: the folder of the training run.
        model: the trained model.
        report: the page of the evaluation on the split `test`, which training never saw.
        pictures: folder of images with what was found in them.
        stats: of that evaluation, `AP50` among them.
        seconds: by the clock, of each stage.
    """

    folder: Path
    data: Path
    sheet: Path
    start: Path
    run: Path
    model: Path
    report: Path
    pictures: Path
    stats: Mapping[str, float | None]
    seconds: Mapping[str, float]


def demo(
    folder: str | Path,
    *,
    seed: int = 0,
    minutes: float = 2.0,
    images: int = IMAGES,
    progress: Progress = lambda *_: None,
) -> Demo:
    """Draw a data set, train a thin yolov4-tiny on it from scratch, and see how good it is.

    Nothing is fetched and nothing is opened.

    Args:
        folder: for all that it makes; must not be there, or be empty.
        seed: of the drawings, the first weights and the training.
        minutes: for training, at most; the rest takes half a minute on two idle cores. It sets
            the number of epochs. Where a step of training, timed first, takes too long for them
            there are fewer.
        images: to learn from.
        progress: called with the stage (`draw`, `train`, `evaluate`, `predict`), how much of it is
            done, how much there is, and a word about it.

    Raises:
        InvalidValue: there is something in the folder, or a number is too small.
        InUse: another process is writing there.
        OSError: the disk is full, or a file cannot be written.
    """
    home = Path(folder)
    if not 0 < minutes < inf:
        raise InvalidValue("minutes", minutes, "a number above 0")
    if images < LEAST_IMAGES:
        raise InvalidValue("images", images, f"{LEAST_IMAGES} or more")
    _require_empty(home)
    make_folder(home)
    with Lock(home / ".scantling-lock", home), torch_threads(1):
        _require_empty(home)  # another process may have written there meanwhile
        return _run(home, images, minutes, seed, progress)


def _require_empty(home: Path) -> None:
    if not home.exists():
        return
    if not home.is_dir() or not all(LEFT.fullmatch(path.name) for path in home.iterdir()):
        raise InvalidValue("out", str(home), "a folder that is empty or not there")


def _run(home: Path, images: int, minutes: float, seed: int, progress: Progress) -> Demo:
    """Run every stage in an empty folder."""
    clock = _Clock()
    data, sheet = _draw(home, seed, images, progress)
    clock.take("draw")
    progress("train", 0, 1, "getting ready")
    start = home / "thin.safetensors"
    _save_start(start, seed)
    # evaluating and predicting take about half as long as drawing did
    left = 60 * (minutes + REST) - 1.5 * clock.seconds["draw"]
    model = _train(home / "run", start, data, seed, (images, minutes, left), progress)
    clock.take("train")
    evaluation = evaluate(
        model,
        data,
        split="test",
        batch_size=EVALUATION_BATCH,
        progress=lambda done, total: progress("evaluate", done, total, ""),
    )
    report = save_report(evaluation, home / "report")
    clock.take("evaluate")
    chosen = [str(image.path) for image in evaluation.dataset.images[:PICTURES]]
    pictures = _predict(home / "pictures", model, chosen, progress)
    clock.take("predict")
    return Demo(
        folder=home,
        data=data,
        sheet=sheet,
        start=start,
        run=home / "run",
        model=model,
        report=report,
        pictures=pictures,
        stats=evaluation.stats,
        seconds=clock.seconds,
    )


class _Clock:
    """A stopwatch for the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = perf_counter()

    def take(self, stage: str) -> None:
        """Seconds since the last call."""
        now = perf_counter()
        self.seconds[stage], self._since = round(now - self._since, 1), now


def _draw(home: Path, seed: int, images: int, progress: Progress) -> tuple[Path, Path]:
    """Draw the data set, and a contact sheet of some of it."""
    counts = {"train": images, "val": images // 10, "test": images // 5}
    total, done = sum(counts.values()), 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress("draw", done, total, "")

    draw_dataset(home / "data", images=counts, seed=seed, advance=advance)
    data = home / "data" / "data.yaml"
    drawn = read_dataset(data, split="train")
    sheet = dataset_sheet(
        drawn, count=SHEET_IMAGES, rng=np.random.default_rng(seed), columns=6, cell=256
    )
    write_file(home / "drawings.png", encode_image(sheet, ".png"), overwrite=False)
    return data, home / "drawings.png"


def _save_start(path: Path, seed: int) -> None:
    """Save a model with seeded weights, without touching torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_model(create_model(thin_tiny(), names=NAMES), path)


def _train(
    folder: Path,
    start: Path,
    data: Path,
    seed: int,
    time: tuple[int, float, float],
    progress: Progress,
) -> Path:
    """Train, and return the best weights.

    Args:
        folder: of the run.
        start: the model.
        data: to train on.
        seed: of the training.
        time: images to learn from, minutes that were asked for, and seconds that are left.
        progress: as of `demo`.
    """
    with temporary_folder(folder) as cache, torch_threads(1):
        fit = _fit(start, data, seed, cache, time)
        torch.set_num_threads(fit.threads)
        run = open_run(
            start,
            data,
            recipe="scaled-yolov4",
            settings=make_settings(fit.epochs, seed),
            device="cpu",
            out=folder,
            cache=cache,
        )
        total, note = run.updates, ""
        for event in run.events():
            if isinstance(event, EpochDone):
                note = f"loss {event.row['total']:.1f}"
                if event.evaluation is not None:
                    note += f", AP50 {event.evaluation.stats['AP50'] or 0:.2f}"
            progress("train", run.state.done, total, note)
    return run.folder.best


def _fit(start: Path, data: Path, seed: int, cache: Path, time: tuple[int, float, float]) -> Fit:
    """Time a few steps of training, and choose epochs and threads by them."""
    images, minutes, left = time
    begin = perf_counter()
    if EPOCHS_A_MINUTE * minutes <= FEWEST_EPOCHS:  # there is nothing to choose
        return fit_training({1: 0.0}, images=images, minutes=minutes, seconds=left)
    steps = time_steps(start, data, seed=seed, folder=cache)
    left -= perf_counter() - begin
    fit = fit_training(steps, images=images, minutes=minutes, seconds=left)
    late = "" if fit.seconds <= left else ", longer than was planned: this machine is slow or busy"
    logger.info(
        f"a step takes {1e3 * min(steps.values()):.0f} ms: {fit.epochs} epochs "
        f"with {fit.threads} threads, about {fit.seconds:.0f} s{late}"
    )
    return fit


def _predict(folder: Path, model: Path, images: Sequence[str], progress: Progress) -> Path:
    """Predict with default settings, and return the folder of drawn detections."""
    with Outputs(["images"], folder) as outputs, closing(predict(model, images)) as found:
        for done, prediction in enumerate(found, start=1):
            outputs.write(prediction.frame, prediction.detections)
            progress("predict", done, len(images), "")
    return folder / "images"
