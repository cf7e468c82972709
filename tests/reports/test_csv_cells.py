"""Text of others in CSV files: no formula, no command of a terminal, and all of it comes back."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scantling.images import Frame
from scantling.inference.outputs import Outputs
from scantling.reports.csv_cells import FORMULA, as_cell, from_cell, read_rows
from scantling.structures import Detections

ODD = ("=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'quoted", '"=1"',
       "a\x1b[31mb", "é\udcff", "a,b;c", "\u202eabc", "", " =1", '"', "dog",
       "[1]", '"1"')  # fmt: skip


def written(value: object) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([as_cell(value), "end"])
    return out.getvalue()


@given(st.text() | st.sampled_from(ODD))
def test_any_text_comes_back(text: str):
    (row,) = csv.reader(io.StringIO(written(text), newline=""))
    assert from_cell(row[0]) == text
    assert row[0][:1] not in tuple(FORMULA + "\t\r")
    assert written(text).replace("\n", "").isprintable()


@pytest.mark.parametrize("number", [-1, -1.5, 0, True, None, 2.0])
def test_numbers_stay_numbers(number: object):
    assert as_cell(number) is number


def test_detections_of_odd_names_are_read_back(tmp_path: Path):
    names = [name for name in ODD if name]
    found = Detections(
        boxes=np.tile(np.float32([-5, 0, 40, 30]), (len(names), 1)),
        scores=np.linspace(0.9, 0.1, len(names), dtype=np.float32),
        labels=np.arange(len(names)),
        names=tuple(names),
        image_size=(60, 80),
    )
    frame = Frame(name="=x\x1b.jpg", image=np.zeros((60, 80, 3), np.uint8))
    with Outputs(["csv"], tmp_path) as outputs:
        outputs.write(frame, found)
    text = (tmp_path / "detections.csv").read_text("utf-8")
    assert "\x1b" not in text
    rows = read_rows(tmp_path / "detections.csv")
    assert [row["name"] for row in rows] == names
    assert {row["source"] for row in rows} == {"=x\x1b.jpg"}
    assert {float(row["left"]) for row in rows} == {-5.0}
