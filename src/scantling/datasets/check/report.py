"""The HTML report of a check: what was found, with drawn examples, and two figures."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from ...reports import (
    Block,
    Cell,
    Details,
    Gallery,
    Heading,
    Picture,
    Table,
    Text,
    new_figure,
    plain_text,
    render_page,
    to_png,
)
from ..dataset import Dataset
from ..findings import CODES, Finding, count_codes
from .distribution import class_counts, input_sides
from .duplicates import without_unions
from .examples import draw_example
from .result import CheckResult, ModelLevels, place_in, summarise

EXAMPLES = 6  # drawn of each code
LISTED = 200  # findings of each code in the tables: a page that a browser still opens
CLASSES_SHOWN = 40  # bars in the figure; the commonest and the rarest where there are more


def render_report(result: CheckResult, *, examples: int = EXAMPLES) -> str:
    """Render the HTML page of a check.

    Args:
        result: what `check_dataset` gave.
        examples: pictures drawn of each code.
    """
    return render_page(f"Check of {result.source}", list(_parts(result, examples)))


def _parts(result: CheckResult, examples: int) -> Iterator[Block]:
    kind: Literal["bad", "look", "plain"] = "look" if result.findings else "plain"
    yield Text(f"{summarise(result)}.", "bad" if result.errors else kind)
    yield Table(
        ("split", "images", "objects", "classes"),
        [(one.split, len(one), len(one.objects), len(one.names)) for one in result.datasets],
        caption=f"Format: {result.format or 'could not be told'}",
    )
    for note in result.notes:
        yield Text(f"Note: {note}.", "note")
    counts = count_codes(result.findings)
    if counts:
        yield Heading("Findings")
        yield Table(
            ("code", "count", "what", "advice"),
            [(code, count, *CODES[code]) for code, count in counts.items()],
        )
        for code in counts:
            yield from _describe_code(code, result, examples)
    parts = without_unions(result.datasets)
    yield from _describe_classes(parts)
    if result.levels is not None:
        yield from _describe_sizes(parts, result.levels)


def _describe_code(code: str, result: CheckResult, examples: int) -> Iterator[Block]:
    """The findings of one code: examples, then a list."""
    findings = [finding for finding in result.findings if finding.code == code]
    yield Heading(f"{code}: {CODES[code][0]} ({len(findings):,})", 3)
    yield Text(CODES[code][1], "note")
    pictures: list[Picture] = []
    for finding in findings[: 4 * examples]:  # of a finding without an image nothing is drawn
        if len(pictures) < examples:
            picture = draw_example(finding, result)
            pictures += [picture] if picture is not None else []
    if pictures:
        yield Gallery(pictures)
    shown = findings[:LISTED]
    rest = f", the first {LISTED} of {len(findings):,}" if len(findings) > LISTED else ""
    yield Details(
        f"Where{rest}",
        [
            Table(
                ("file", "line", "item", "what"),
                [
                    (place_in(one.file, result.source), _line(one), one.item, one.message)
                    for one in shown
                ],
            )
        ],
        opened=len(findings) <= 3,
    )


def _line(finding: Finding) -> str:
    return "" if finding.line is None else str(finding.line)


def _describe_classes(datasets: Sequence[Dataset]) -> Iterator[Block]:
    """How many objects each class has: a figure and a table."""
    counts = class_counts(datasets)
    if not counts:
        return
    ordered = sorted(counts.items(), key=lambda item: -sum(item[1]))
    yield Heading("Classes")
    half = CLASSES_SHOWN // 2
    shown = ordered if len(ordered) <= CLASSES_SHOWN else [*ordered[:half], *ordered[-half:]]
    figure, (axes,) = new_figure(7.5, 1.2 + 0.2 * len(shown))
    places = np.arange(len(shown))
    left = np.zeros(len(shown))
    for split, dataset in enumerate(datasets):
        numbers = np.array([many[split] for _, many in shown], np.float64)
        axes.barh(places, numbers, left=left, label=plain_text(dataset.split), height=0.75)
        left += numbers
    axes.set_yticks(places, [plain_text(name) for name, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the commonest on top
    axes.set_xlabel("objects")
    axes.grid(visible=False, axis="y")
    if len(datasets) > 1:
        figure.legend(loc="outside upper right", ncols=len(datasets), frameon=False)
    rest = "" if len(shown) == len(ordered) else f", the {half} commonest and the {half} rarest"
    yield Picture(to_png(figure), f"Objects of each class{rest}")
    columns = ("class", *(dataset.split for dataset in datasets), "all")
    rows: list[list[Cell]] = [[name, *many, sum(many)] for name, many in ordered]
    yield Details("Objects of each class as a table", [Table(columns, rows)])


def _describe_sizes(datasets: Sequence[Dataset], levels: ModelLevels) -> Iterator[Block]:
    """The sizes of objects on the input of a model, with its strides."""
    height, width = levels.image_size
    yield Heading(f"Sizes on the {width} × {height} input of {levels.name}")
    figure, (axes,) = new_figure(7.5, 3.8)
    edges = 2.0 ** np.arange(0, np.log2(max(height, width)) + 0.26, 0.25)
    found = False
    for dataset in datasets:
        lengths = np.sqrt(input_sides(dataset, levels).prod(axis=1))
        lengths = lengths[np.isfinite(lengths)].clip(edges[0], edges[-1])
        if len(lengths):
            found = True
            numbers, _ = np.histogram(lengths, edges)
            axes.stairs(numbers, edges, linewidth=1.6, label=plain_text(dataset.split))
    if not found:
        yield Text("No object has a size.", "note")
        return
    axes.set_xscale("log", base=2)
    for stride in levels.strides:
        axes.axvline(stride, color="#555555", linestyle=":", linewidth=1)
        axes.annotate(
            f"stride {stride}", (stride, 1), xycoords=("data", "axes fraction"), rotation=90,
            va="top", ha="right", fontsize=8, color="#555555",
        )  # fmt: skip
    axes.set_xticks(
        ticks := 2.0 ** np.arange(0, np.log2(edges[-1]) + 0.01), [f"{t:g}" for t in ticks]
    )
    axes.set_xlabel("square root of the area, in pixels of the input")
    axes.set_ylabel("objects")
    figure.legend(loc="outside upper right", ncols=len(datasets), frameon=False)
    yield Picture(to_png(figure), "Objects by size; the dotted lines are the strides of the model")
