"""A training run as a generator of events: updates and epochs, evaluated and saved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
from accelerate.utils import broadcast

from ..checkpoints import Model, save_model
from ..checkpoints.native import describe_model
from ..darknet import DarknetNetwork
from ..datasets.anchors import Anchors
from ..datasets.dataset import Dataset
from ..datasets.loader import Task, TrainingSet, load_batches
from ..detector import Detector
from ..engines import EngineSettings
from ..engines.torch_engine import TorchEngine, torch_threads, usual_threads
from ..errors import TrainingDiverged
from ..evaluation import Evaluation, choose_protocol, evaluate, selection_for
from ..io.folders import Lock
from ..structures import Batch, LossTerms
from .accelerator import SharedPredictor
from .folder import RunFolder, read_metrics, write_metrics
from .loop import StepDone, Trainer
from .plan import TrainStep
from .recipe import Recipe
from .report import write_report, write_samples
from .resolve import ResolvedRecipe
from .state import LossMeter, TrainState, save_state

ASK_EVERY = 8  # updates after which several processes ask one another whether to stop


@dataclass(frozen=True, eq=False)
class EpochDone:
    """An epoch is over; its weights are saved, and evaluated where it was time for that.

    Args:
        epoch: from 0.
        row: of `metrics.jsonl`: `epoch` from 1, `step`, `learning_rate`, the mean loss terms
            `total`, `box`, `objectness` and `classes`, `images_per_second`; where the weights were
            evaluated also `AP`, `AP50` and the other figures, and `evaluation_seconds`.
        evaluation: of the averaged weights; None where it was not time for it.
        is_best: whether they are the best so far, and so in `best.safetensors`.
    """

    epoch: int
    row: Mapping[str, Any]
    evaluation: Evaluation | None
    is_best: bool


@dataclass(eq=False)
class Run:
    """A training run, ready to begin or to be resumed.

    Args:
        folder: where everything is kept.
        model: that learns.
        resolved: its settings.
        trainer, state: of the loop.
        training_set: what it learns from.
        validation: what it is evaluated on, if there is anything.
        anchors: how the model's anchors fit the data, and the new ones, if it has got new ones.
        best: the best fitness so far; None before the first evaluation.
        meter: of the loss terms in the epoch that is under way.
        evaluation: the last one, if there was any since the run was opened.
        lock: of the folder; `events` lets go of it in the end.
    """

    folder: RunFolder
    model: Model
    resolved: ResolvedRecipe
    trainer: Trainer
    state: TrainState
    training_set: TrainingSet
    validation: Dataset | None
    anchors: tuple[Anchors, Anchors | None]
    best: float | None = None
    meter: LossMeter = field(default_factory=LossMeter)
    evaluation: Evaluation | None = None
    lock: Lock | None = None

    @property
    def updates(self) -> int:
        """How many updates of the weights the whole run makes; `state.done` of them are made."""
        return self.trainer.plan.updates

    @property
    def recipe(self) -> Recipe:
        """The settings that hold."""
        return self.resolved.recipe

    def events(self, *, stop: Callable[[], bool] = lambda: False) -> Iterator[StepDone | EpochDone]:
        """Train to the end, or until `stop` says so; everything is saved by then.

        Leaving the loop, by `break` or an error in its body, saves the same. A Ctrl-C that comes
        within an update does not: use `stop_signals` for that.

        Args:
            stop: asked after every update; where it says so, the state and the model are saved, and
                the run ends. A run without an evaluation yet has its last weights as the best, too.

        Raises:
            TrainingDiverged: the loss broke, or the weights did; the last saved state stays.
            InvalidSource: an image cannot be read any more.
        """
        batches = load_batches(
            self.training_set,
            self._tasks(),
            workers=self.recipe.loader.workers,
            pinned=self.trainer.accelerator.device.type == "cuda",
        )
        self._begin()
        try:
            with torch_threads(usual_threads()):
                yield from self._go(batches, stop)
        finally:
            batches.close()  # ends the workers
            self.trainer.accelerator.end_training()
            if self.lock is not None:
                self.lock.release()

    def restore(self, notes: Mapping[str, Any]) -> None:
        """Restore the best fitness and the meter, which `save_state` kept as notes."""
        best = notes["best"]
        self.best = None if best is None or best < 0 else float(best)  # once -1 before the first
        self.meter = LossMeter(dict(notes["sums"]), int(notes["images"]))

    def _begin(self) -> None:
        """Give the trackers the settings; draw the first augmented images."""
        accelerator = self.trainer.accelerator
        if accelerator.log_with:
            plain = {
                name: value if isinstance(value, bool | int | float | str) else str(value)
                for name, value, _ in self.resolved.rows()
            }
            accelerator.init_trackers("scantling", config=plain)
        if accelerator.is_main_process and not self.folder.samples.exists():
            task = next(self._tasks(), None)
            if task is not None:
                write_samples(self.folder, self.training_set, task)

    def _go(
        self, batches: Iterator[Batch], stop: Callable[[], bool]
    ) -> Iterator[StepDone | EpochDone]:
        rows = [row for row in read_metrics(self.folder) if row["step"] <= self.state.done]
        images = 0
        saved = since = perf_counter()
        for update in self.trainer.steps(self.state, batches):
            self.meter.update(update.terms, update.step.images)
            images += update.step.images
            try:
                yield update
            except GeneratorExit:
                self._leave(update)
                raise
            if update.step.last:
                self._require_finite(update)
                row = {
                    "epoch": update.step.epoch + 1,
                    "step": self.state.done,
                    "learning_rate": update.learning_rate,
                    **self.meter.averages(self.trainer.accelerator),
                    "images_per_second": round(images / (perf_counter() - since), 2),
                }
                epoch = self._end_epoch(update.step, row)
                rows.append(dict(epoch.row))
                self.meter, images = LossMeter(), 0
                self._save_epoch(rows, is_best=epoch.is_best)
                yield epoch
                saved = since = perf_counter()
            stopped = self._stop_agreed(stop(), update.step)
            if stopped or perf_counter() - saved > 60 * self.recipe.save_minutes:
                self._require_finite(update)
                self._save_state()
                saved = perf_counter()
            if stopped:
                self._save_models()
                return

    def _leave(self, update: StepDone) -> None:
        """Save what there is when the caller leaves the loop after an update."""
        try:
            self._require_finite(update)
        except TrainingDiverged:
            return
        if not update.step.last:  # a state of this moment would skip the end of the epoch
            self._save_state()
        self._save_models()

    def _stop_agreed(self, asked: bool, step: TrainStep) -> bool:
        """All-reduce the stop request, so that every rank stops after the same update."""
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return asked
        if step.index % ASK_EVERY and not step.last:  # to ask, processes wait for one another
            return False
        votes = torch.tensor([float(asked)], device=accelerator.device)
        return bool(accelerator.reduce(votes, reduction="sum").item() > 0)

    def _require_finite(self, update: StepDone) -> None:
        """Require finite losses and weights before anything is saved.

        Raises:
            TrainingDiverged: a term of the loss or a weight is not finite.
        """
        terms = {part.name: float(getattr(update.terms, part.name)) for part in fields(LossTerms)}
        weights = [weight.isfinite().all() for weight in self.state.network.parameters()]
        if isfinite(terms["total"]) and bool(torch.stack(weights).all()):
            return
        images = self.training_set.dataset.images
        raise TrainingDiverged(
            ", ".join(f"{name} {value:g}" for name, value in terms.items()),
            [images[place].image_id for batch in update.step.batches for place in batch],
        )

    def ema_model(self) -> Model:
        """The model with the weights of the EMA, or of the last update where there is none."""
        ema = self.state.ema
        network = self.state.network if ema is None else ema.network
        return replace(self.model, network=cast(Detector | DarknetNetwork, network))

    def _tasks(self) -> Iterator[Task]:
        """The part of every batch that this process makes."""
        accelerator, recipe = self.trainer.accelerator, self.recipe
        for step in self.trainer.plan.iterate(start=self.state.done):
            mixing = step.epoch < recipe.epochs - recipe.close_mosaic
            for place, rows in enumerate(step.batches):
                share = len(rows) // accelerator.num_processes
                first = share * accelerator.process_index
                yield Task(
                    images=rows[first : first + share],
                    image_size=step.image_size,
                    seed=(recipe.seed, step.first_batch + place),
                    first=first,
                    mixing=mixing,
                    pool=step.pool,
                )

    def _end_epoch(self, step: TrainStep, row: dict[str, Any]) -> EpochDone:
        """Evaluate where it is time to, and whether it was the best so far."""
        last = step.epoch + 1 == self.recipe.epochs
        due = last or (step.epoch + 1) % self.recipe.evaluate_every == 0
        evaluation, is_best = None, self.validation is None
        start = perf_counter()
        if due and self.validation is not None:
            evaluation = self._evaluate(self.validation)
        if evaluation is not None:
            self.evaluation = evaluation
            figures = evaluation.stats
            row |= {
                name: None if value is None else round(value, 6) for name, value in figures.items()
            }
            row["evaluation_seconds"] = round(perf_counter() - start, 2)
            score = fitness(figures)
            is_best = self.best is None or score > self.best
            self.best = score if self.best is None else max(score, self.best)
        self.trainer.accelerator.wait_for_everyone()
        return EpochDone(step.epoch, row, evaluation, is_best)

    def _evaluate(self, dataset: Dataset) -> Evaluation | None:
        """Evaluate with all processes; None in any but the first."""
        model, accelerator = self.ema_model(), self.trainer.accelerator
        # statistics of batch norm are those of the share of a process: the first one's are saved
        broadcast(dict(model.network.state_dict()), from_process=0)
        settings = EngineSettings(
            # of several processes on a processor, accelerate calls it cpu:0
            device="cpu" if accelerator.device.type == "cpu" else str(accelerator.device),
            precision={"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
            image_size=self.trainer.plan.image_size,
        )
        predictor = SharedPredictor(
            accelerator,
            TorchEngine(model, settings),
            model.names,
            input_spec=model.spec.input,
            selection=selection_for(choose_protocol("coco")),
        )
        batch_size = min(8, self.recipe.batch)
        with predictor:
            if accelerator.is_main_process:
                return evaluate(predictor, dataset, batch_size=batch_size)
            paths = [image.path for image in dataset.images]
            for _ in predictor.stream_files(paths, batch_size=batch_size):
                pass  # what it finds goes to the first
        return None

    def _save_epoch(self, rows: Sequence[Mapping[str, Any]], *, is_best: bool) -> None:
        """Save models, metrics, state and report at the end of an epoch."""
        if not self.trainer.accelerator.is_main_process:
            return
        self.save_weights(self.folder.last)
        if is_best:
            self.save_weights(self.folder.best)
        write_metrics(self.folder, rows)
        self._save_state()
        write_report(self.folder, rows, self.evaluation)
        row = rows[-1]
        self.trainer.accelerator.log(
            {
                name: value
                for name, value in row.items()
                if name not in ("epoch", "step") and value is not None
            },
            step=row["step"],
        )

    def _save_models(self) -> None:
        """Save the last weights, which count as the best until some are evaluated."""
        self.save_weights(self.folder.last)
        if self.validation is None or not self.folder.best.exists():
            self.save_weights(self.folder.best)

    def save_weights(self, path: Path) -> None:
        """Save the model that `ema_model` gives; one of several processes does."""
        if self.trainer.accelerator.is_main_process:
            seen = self.state.done * max(self.recipe.nominal_batch, self.recipe.batch)
            save_model(replace(self.ema_model(), seen=seen), path)

    def _save_state(self) -> None:
        if self.trainer.accelerator.is_main_process:
            notes = {
                "best": self.best,
                "sums": self.meter.sums(),
                "images": self.meter.images,
                "model": describe_model(self.model),
            }
            save_state(self.state, self.folder.state, notes=notes)


def fitness(figures: Mapping[str, Any]) -> float:
    """What the best weights are chosen by: 0.1 AP50 + 0.9 AP; 0 where no object counts.

    Source: Scaled-YOLOv4.
    """
    return 0.1 * float(figures["AP50"] or 0) + 0.9 * float(figures["AP"] or 0)
