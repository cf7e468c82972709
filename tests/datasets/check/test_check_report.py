"""The page of a check: examples with the box that is meant, figures, and nothing that is unsafe."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clean_sets import LAYOUTS, Content, Thing, clean_content, write_files
from shared_corruptions import FIRST, LEVELS, corrupt_shared

from scantling.datasets.check import CheckResult, check_dataset, render_report
from scantling.datasets.check.examples import RED, draw_example
from scantling.datasets.findings import CODES, Finding
from scantling.reports import Picture

FIRST_FILE = Path("labels.json")


def check_fault(name: str, folder) -> CheckResult:
    return check_dataset(write_files(corrupt_shared("coco")[name].files(), folder))


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
    data = [np.frombuffer(base64.b64decode(one), np.uint8) for one in found]
    return [cv2.cvtColor(cv2.imdecode(one, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for one in data]


def test_the_page_of_a_clean_set_says_so_and_shows_its_classes(tmp_path):
    page = render_report(
        check_dataset(write_files(LAYOUTS["yolo"].files(clean_content()), tmp_path))
    )
    assert "0 errors, 0 warnings." in page
    assert "Findings" not in page
    assert len(pictures(page)) == 1


def test_every_code_is_explained_with_examples(tmp_path):
    result = check_fault("a box that reaches out to the right", tmp_path)
    page = render_report(result)
    assert f"W211: {CODES['W211'][0]} (1)" in page
    assert CODES["W211"][1] in page
    assert len(pictures(page)) == 2  # an example, and the classes


def test_no_more_examples_are_drawn_than_asked_for(tmp_path):
    result = check_fault("more objects than are counted", tmp_path)
    many = [Finding("E207", f"number {n}", FIRST_FILE, image=image_of(result)) for n in range(9)]
    shown = CheckResult(result.source, "coco", result.datasets, tuple(many))
    assert len(pictures(render_report(shown, examples=4))) == 5


def image_of(result: CheckResult):
    return result.datasets[0].images[0].path


def decode(picture: Picture) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_the_box_that_is_meant_is_framed(tmp_path):
    result = check_fault("an image without objects", tmp_path)
    finding = Finding("E210", "x", FIRST_FILE, image=image_of(result), box=(24, 16, 56, 48))
    plain = decode(draw_example(replace(finding, box=None), result)).astype(int)
    framed = decode(draw_example(finding, result)).astype(int)
    assert framed.shape == (64, 80, 3)
    changed = np.abs(framed - plain).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max()) == (pytest.approx(12, abs=3), pytest.approx(52, abs=3))
    assert (columns.min(), columns.max()) == (pytest.approx(20, abs=3), pytest.approx(60, abs=3))
    assert not changed[20:44, 28:52].any()  # what lies within is still seen
    assert (np.abs(framed[32, 20:23] - RED).max(axis=1) < 90).any()


def test_a_box_far_outside_or_without_numbers_breaks_nothing(tmp_path):
    result = check_fault("an image without objects", tmp_path)
    for box in ((-1e300, 0, 1e300, 5), (float("nan"), 0, 1, 1), (5, 5, 1, 1)):
        finding = Finding("E210", "x", FIRST_FILE, image=image_of(result), box=box)
        assert draw_example(finding, result) is not None


def test_a_pair_is_shown_side_by_side(tmp_path):
    result = check_fault("a paler copy in another split", tmp_path)
    (finding,) = result.findings
    picture = draw_example(finding, result)
    assert decode(picture).shape == (64, 2 * (80 + 4), 3)


def test_an_image_that_cannot_be_shown_is_listed_only(tmp_path):
    result = check_fault("an image cut off in the middle", tmp_path)
    (finding,) = result.findings
    assert draw_example(finding, result) is None
    assert "E304" in render_report(result)


def test_names_from_files_stay_text(tmp_path):
    hostile = ("<img src=x onerror=alert(1)>", "$\\frac{", "bird")
    things = (*FIRST.things, Thing(0, (100, 1, 120, 9)))
    content = Content(hostile, clean_content().splits)
    content = content.change(FIRST.name, lambda one: one.with_things(*things))
    result = check_dataset(write_files(LAYOUTS["coco"].files(content), tmp_path), levels=LEVELS)
    page = render_report(result)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_sizes_are_shown_against_the_strides_of_the_model(tmp_path):
    folder = write_files(LAYOUTS["yolo"].files(clean_content()), tmp_path)
    page = render_report(check_dataset(folder, levels=LEVELS))
    assert "Sizes on the 80 × 64 input of a model" in page
    assert len(pictures(page)) == 2


def test_a_data_set_that_cannot_be_read_has_a_page_too(tmp_path):
    page = render_report(check_dataset(tmp_path / "absent", levels=LEVELS))
    assert "1 error, 0 warnings." in page
    assert "E101" in page
