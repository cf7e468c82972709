"""What `scantling train` prints: the settings, a line an epoch, a progress bar, a summary."""

import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from ..errors import counted, printable
from .output import is_terminal

if TYPE_CHECKING:
    from ..training import EpochDone, Run, StepDone

EVERY = 10  # updates between two looks at the loss terms: a look waits for the device
TERMS = {"total": "loss", "box": "box", "objectness": "obj", "classes": "cls"}


class TrainingPrinter:
    """Prints a run while it goes on.

    Args:
        run: about to start or to resume.
        as_json: print one JSON object an epoch, and nothing else, on standard output.
    """

    def __init__(self, run: "Run", *, as_json: bool) -> None:
        self._run, self._as_json = run, as_json
        self.updates = run.updates
        self._start = self._since = perf_counter()
        self._images, self._begun = 0, run.state.done
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=14),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            # what does not fit on a narrow terminal is cut here
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=Console(stderr=True),
            disable=not is_terminal(sys.stderr),
            redirect_stdout=is_terminal(sys.stdout),  # else the lines belong in a file or a pipe
        )
        self._score = self._terms = ""
        self._task = self._bar.add_task(
            "train", total=self.updates, completed=run.state.done, epoch=1, figures=""
        )

    def __enter__(self) -> Self:
        for line in () if self._as_json else beginning(self._run):
            typer.echo(printable(line))
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def add(self, event: "StepDone | EpochDone") -> None:
        """Show what happened."""
        from ..training import EpochDone

        if isinstance(event, EpochDone):
            self._add_epoch(event)
        elif not self._bar.disable:
            self._add_step(event)

    def finish(self, *, complete: bool) -> None:
        """Say where everything is, or how to go on."""
        folder = printable(str(self._run.folder.path))
        if not complete:
            typer.echo(
                f"scantling: stopped; {folder} has last.safetensors and best.safetensors."
                f" To go on: scantling train --resume {folder}",
                err=True,
            )
        elif self._as_json:
            return
        elif self._begun == self.updates:
            typer.echo(f"Nothing is left to do: the run in {folder} is complete")
        else:
            minutes = (perf_counter() - self._start) / 60
            typer.echo(
                f"Trained in {minutes:.1f} minutes. Saved in {folder}: best.safetensors,"
                " last.safetensors, metrics.csv; report.html shows it all."
            )

    def _add_step(self, event: "StepDone") -> None:
        step = event.step
        self._images += step.images
        if (step.index + 1) % EVERY == 0 or step.index < EVERY:
            terms = event.terms
            shown = (f"{short} {float(getattr(terms, name)):.3g}" for name, short in TERMS.items())
            self._terms = "  ".join(shown)
        rate = self._images / max(1e-9, perf_counter() - self._since)
        figures = "evaluating …" if step.last else f"{self._score}  {self._terms}"
        epochs = f"{step.epoch + 1}/{self._run.recipe.epochs}"
        self._bar.update(
            self._task,
            completed=step.index + 1,
            epoch=epochs,
            figures=f"{rate:.0f} images/s  {figures}",
        )

    def _add_epoch(self, event: "EpochDone") -> None:
        row = event.row
        if self._as_json:
            typer.echo(json.dumps({**row, "best": event.is_best}))
        else:
            typer.echo(describe_epoch(row, self._run.recipe.epochs, is_best=event.is_best))
        if "AP" in row:
            self._score = f"AP {show_figure(row['AP'])}  AP50 {show_figure(row['AP50'])}"
        self._images, self._since = 0, perf_counter()


def describe_epoch(row: "dict[str, Any] | Any", epochs: int, *, is_best: bool) -> str:
    """An epoch in one line."""
    parts = [f"epoch {row['epoch']}/{epochs}"]
    parts += [f"{name} {row[name]:.4g}" for name in TERMS]
    if "AP" in row:
        shown = f"AP {show_figure(row['AP'])} AP50 {show_figure(row['AP50'])}"
        parts.append(f"{shown}{' (best)' if is_best else ''}")
    parts.append(f"{row['images_per_second']:.1f} images/s")
    return "  ".join(parts)


def show_figure(value: float | None) -> str:
    """A figure of an evaluation; a dash where no object counts."""
    return "–" if value is None else f"{value:.3f}"


def beginning(run: "Run") -> Iterator[str]:
    """What a run is about to do: model, settings that differ from the defaults, anchors."""
    from ..training.report import changed_settings

    plan, network, recipe = run.trainer.plan, run.model.network, run.recipe
    weights = sum(weight.numel() for weight in network.parameters())
    learned = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    frozen = "" if learned == weights else f", {learned:,} of them learned"
    height, width = plan.image_size
    accelerator = run.trainer.accelerator
    precision = {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)
    yield (
        f"{run.model.spec.name} for {counted(len(run.model.names), 'class', 'classes')}:"
        f" {weights:,} parameters{frozen};"
        f" input {height}x{width}, {precision} on {accelerator.device}"
    )
    changed = describe_settings(changed_settings(run.resolved.rows()))
    yield from ["Settings that differ from the defaults:", *changed] if changed else []
    yield from describe_anchors(run)
    done = run.state.done
    at = f", from update {done:,} on" if done else ""
    yield (
        f"{counted(len(run.training_set.dataset), 'image')}; epochs: {recipe.epochs}, each of"
        f" {counted(plan.per_epoch, 'batch', 'batches')} of {recipe.batch}, an update every"
        f" {counted(max(recipe.batch, recipe.nominal_batch), 'image')}{at}"
    )
    yield f"In {run.folder.path}: settings.json has every setting"


def describe_settings(rows: list[tuple[str, Any, str]]) -> list[str]:
    """Settings under one another, each with its source."""
    shown = [(name, json.dumps(value), source) for name, value, source in rows]
    wide = max((len(name) for name, _, _ in shown), default=0)
    values = max((len(value) for _, value, _ in shown), default=0)
    return [f"  {name:<{wide}} {value:<{values}}  ({source})" for name, value, source in shown]


def describe_anchors(run: "Run") -> Iterator[str]:
    """How the anchors fit the boxes of the data, before and after."""
    before, fitted = run.anchors
    settings = run.recipe.anchors
    yield (
        f"Best possible recall of the model's anchors: {before.recall:.1%} of the boxes, fitness"
        f" {before.fitness:.3f} ({settings.fitness}, threshold {settings.threshold:g})"
    )
    if fitted is not None:
        sizes = ", ".join(f"{width:.0f}x{height:.0f}" for width, height in fitted.sizes.tolist())
        yield (
            f"  with those fitted to the data, now in use: {fitted.recall:.1%}, fitness"
            f" {fitted.fitness:.3f}: {sizes}"
        )
    elif settings.fit == "auto" and before.recall < settings.least_recall:
        yield "  none were found that fit better"
