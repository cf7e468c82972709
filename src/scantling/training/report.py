"""The report of a run: its curves as a picture, and everything on one HTML page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.contact_sheets import SheetImage, contact_sheet
from ..datasets.loader import Arrays, Task, TrainingSet
from ..evaluation import (
    Evaluation,
    class_table,
    describe_data,
    describe_stats,
    render_images,
    warnings_of,
)
from ..evaluation.image_drawing import LEGEND
from ..io import write_file
from ..reports import (
    Block,
    Cell,
    Details,
    Heading,
    Picture,
    Table,
    Text,
    new_figure,
    render_page,
    to_png,
)
from ..reports.drawing import encode_image
from .folder import RunFolder, read_settings
from .recipe import Recipe
from .resolve import flatten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TERMS = {"total": "total", "box": "boxes", "objectness": "objectness", "classes": "classes"}
SCORES = ("AP", "AP50", "AP75")
SAMPLES = 9  # images on the sheet of what the network sees
BEST, WORST = 3, 6  # images of the last evaluation that are drawn
SHOWN_EPOCHS = 20  # in the table of the last ones
MARKED = 30  # epochs up to which every one gets a dot
Rows = Sequence[Mapping[str, Any]]


def draw_curves(rows: Rows) -> bytes:
    """A PNG of the loss terms, the scores and the learning rate over the epochs.

    Args:
        rows: of the metrics, one or more, as `read_metrics` gives them.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (losses, scores, rates) = new_figure(12.5, 3.8, columns=3)
    for name, label in TERMS.items():
        _plot(losses, rows, name, label)
    losses.set_title("Loss, mean of an image")
    if all(row["total"] > 0 for row in rows):
        losses.set_yscale("log")
    for name in SCORES:
        _plot(scores, rows, name, name)
    scores.set_title("Average precision")
    best = _best_row(rows)
    if best is not None:
        text = f"best: epoch {best['epoch']}"
        scores.axvline(best["epoch"], color="#999999", linewidth=1, linestyle=":", label=text)
        scores.set_ylim(bottom=0)
    _plot(rates, rows, "learning_rate", "learning rate")
    rates.set_title("Learning rate")
    rates.set_ylim(bottom=0)
    for axes in (losses, scores, rates):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes is not rates and axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    if best is None:
        scores.text(0.5, 0.5, "no AP yet", ha="center", transform=scores.transAxes)
    return to_png(figure)


def write_report(folder: RunFolder, rows: Rows, evaluation: Evaluation | None) -> None:
    """Write `curves.png` and `report.html` into the folder of a run, anew.

    Args:
        folder: with the settings and the environment of the run.
        rows: of the metrics so far, one or more.
        evaluation: the last, if there was any since the run was opened.
    """
    curves = draw_curves(rows)
    write_file(folder.curves, curves)
    write_file(folder.report, render_run(folder, rows, evaluation, curves).encode())


def render_run(folder: RunFolder, rows: Rows, evaluation: Evaluation | None, curves: bytes) -> str:
    """One HTML page of a run: curves, the last evaluation, settings, environment, samples."""
    record = read_settings(folder)
    parts: list[Block] = [
        Text(_describe_progress(rows, record.recipe["epochs"])),
        Text(f"{record.args.model} on {record.args.data}", "note"),
        Heading("Curves"),
        Picture(curves, "Loss terms, average precision and learning rate over the epochs."),
        _render_epochs(rows),
        Heading("Last evaluation"),
        *_render_evaluation(evaluation),
        Heading("What the network sees"),
        *_render_samples(folder),
        Heading("Settings"),
        *_render_settings(record.settings, asdict(record.args)),
        Heading("Environment"),
        _render_environment(folder),
    ]
    return render_page(f"Training in {folder.path.name}", parts)


def changed_settings(rows: Iterable[tuple[str, Any, str]]) -> list[tuple[str, Any, str]]:
    """The settings that differ from the defaults.

    Args:
        rows: (setting, value, source) of each, as `ResolvedRecipe.rows` gives them.
    """
    usual = dict(flatten(Recipe().model_dump(mode="json")))
    unknown = object()  # a setting of another kind of loss has no default here
    return [
        (name, value, source)
        for name, value, source in rows
        if source != "default" and value != usual.get(name, unknown)
    ]


def write_samples(folder: RunFolder, training_set: TrainingSet, task: Task) -> None:
    """Draw the first images of a batch as the network will see them, on one sheet.

    Args:
        folder: of the run; the sheet is its `samples`.
        training_set: what makes the batch.
        task: the batch; the images are the very ones that it will have.
    """
    arrays = training_set.arrays(replace(task, images=task.images[:SAMPLES]))
    pictures = [draw_sample(arrays, place) for place in range(len(arrays.images))]
    sheet = contact_sheet(pictures, training_set.dataset.names, count=len(pictures), cell=288)
    write_file(folder.samples, encode_image(sheet, quality=88))


def draw_sample(arrays: Arrays, place: int) -> SheetImage:
    """One image of a batch with its labels, for a sheet."""
    own = arrays.image_index == place
    none = np.zeros(int(own.sum()), np.bool_)
    return SheetImage(
        image=arrays.images[place],
        boxes=arrays.boxes[own],
        labels=arrays.labels[own],
        crowd=none,
        difficult=none,
        caption=str(arrays.image_ids[place]),
    )


def _plot(axes: "Axes", rows: Rows, name: str, label: str) -> None:
    """One column of the metrics over the epochs, as far as it is there."""
    known = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
    if known:
        marker = "o" if len(known) <= MARKED else ""
        axes.plot(*zip(*known, strict=True), label=label, marker=marker, markersize=3)


def _best_row(rows: Rows) -> Mapping[str, Any] | None:
    """The row of the best evaluation, by what the best weights are chosen by."""
    judged = [row for row in rows if row.get("AP") is not None]
    return max(judged, key=lambda row: 0.1 * row["AP50"] + 0.9 * row["AP"], default=None)


def _describe_progress(rows: Rows, epochs: int) -> str:
    last, best = rows[-1], _best_row(rows)
    told = f"{last['epoch']} of {epochs} epochs, {last['step']:,} updates of the weights."
    if best is None:
        judged = any("AP" in row for row in rows)
        return f"{told} There was no {'object to judge it by' if judged else 'evaluation yet'}."
    return (
        f"{told} Best: epoch {best['epoch']}, AP {best['AP']:.3f}, AP50 {best['AP50']:.3f}"
        " (a tenth AP50 and nine tenths AP decide)."
    )


def _render_epochs(rows: Rows) -> Block:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in columns] for row in rows[-SHOWN_EPOCHS:]]
    summary = "Epoch by epoch" if len(rows) <= SHOWN_EPOCHS else f"The last {SHOWN_EPOCHS} epochs"
    return Details(summary, [Table(columns, cells, "All are in metrics.csv.", places=4)])


def _render_evaluation(evaluation: Evaluation | None) -> list[Block]:
    if evaluation is None:
        return [Text("None since the run was begun or resumed.", "note")]
    judged = evaluation.metrics
    worst = [one for one in reversed(judged.ranking) if one.f1 < 1]
    return [
        Text(describe_data(evaluation)),
        *[Text(line, "look") for line in warnings_of(evaluation)],
        Text(describe_stats(evaluation), "code"),
        Table(*class_table(judged)),
        Text(LEGEND, "note"),
        Heading("Worst images", 3),
        render_images(evaluation, worst, WORST),
        Heading("Best images", 3),
        render_images(evaluation, [one for one in judged.ranking if one.true_positives], BEST),
    ]


def _render_samples(folder: RunFolder) -> list[Block]:
    if not folder.samples.exists():
        return [Text("Not drawn.", "note")]
    text = "The first images of the run after augmentation, with their labels"
    return [Picture(folder.samples.read_bytes(), text)]


def _render_settings(settings: Mapping[str, Any], args: Mapping[str, Any]) -> list[Block]:
    """Settings that differ from the defaults, then the arguments, then every setting."""
    plain = [(name, one["value"], one["source"]) for name, one in settings.items()]
    rows: list[tuple[Cell, ...]] = [(name, _show(value), told) for name, value, told in plain]
    changed = [(name, _show(value), told) for name, value, told in changed_settings(plain)]
    given = [(name, _show(value)) for name, value in args.items()]
    columns = ("setting", "value", "source")
    return [
        Table(columns, changed, "What differs from the defaults."),
        Details("Arguments of the run", [Table(("option", "value"), given)]),
        Details("Every setting", [Table(columns, rows)]),
    ]


def _render_environment(folder: RunFolder) -> Block:
    facts = dict(flatten(json.loads(folder.environment.read_text("utf-8"))))
    return Table(("what", "value"), [(name, _show(value)) for name, value in facts.items()])


def _show(value: object) -> str:
    """A setting as JSON would have it, but text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
