"""Pages that need nothing else, and say only what they were given."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from scantling.errors import InvalidValue
from scantling.reports import (
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

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\ud800"
PNG = cv2.imencode(".png", np.zeros((2, 3, 3), np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((2, 3, 3), np.uint8))[1].tobytes()


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def every_part(text: str) -> list:
    picture = Picture(PNG, text)
    table = Table((text, "n"), [(text, 1234), (None, 2.5)], caption=text)
    return [
        Heading(text),
        *(Text(text, kind) for kind in ("plain", "note", "bad", "look", "code")),
        table,
        picture,
        Details(text, [Gallery([picture, Picture(JPEG, text, width=7)]), table]),
    ]


def test_text_of_any_part_stays_text():
    page = render_page(HOSTILE, every_part(HOSTILE))
    page.encode("utf-8")
    reader = Reader(page)
    assert not reader.open
    assert "script" not in reader.tags
    assert "\x1b" not in page
    assert reader.text.count("<script>alert(1)</script>\"'&") >= 10


def test_a_page_refers_to_nothing_outside_itself():
    reader = Reader(render_page("Check", every_part("x")))
    assert len(reader.links) == 3
    assert all(link.startswith("data:image/") for link in reader.links)
    assert base64.b64decode(reader.links[0].partition("base64,")[2]) == PNG
    assert "link" not in reader.tags


def test_a_table_aligns_numbers_and_shows_thousands_apart():
    page = render_page(
        "x", [Table(("name", "n"), [("a", 1234), ("b", None), ("c", 0.5)], places=2)]
    )
    assert '<td class="number">1,234</td>' in page
    assert '<td class="number">–</td>' in page
    assert '<td class="number">0.50</td>' in page
    assert "<td>a</td>" in page


def test_details_are_folded_unless_opened():
    assert "<details>" in render_page("x", [Details("more", [])])
    assert "<details open>" in render_page("x", [Details("more", [], opened=True)])


def test_a_row_of_another_length_is_refused():
    with pytest.raises(InvalidValue, match="row 1 of the table is '1 cells'; expected 2 cells"):
        render_page("x", [Table(("a", "b"), [("1", "2"), ("1",)])])


def test_a_picture_of_an_unknown_kind_is_refused():
    with pytest.raises(InvalidValue, match="PNG or JPEG"):
        render_page("x", [Picture(b"<svg onload=alert(1)>")])


def test_a_figure_becomes_a_png_whatever_its_labels_hold():
    figure, axes = new_figure(4, 3, rows=1, columns=2)
    axes[0].plot([0, 1], [1, 0], label=plain_text("$\\frac{1$ \x1b[0m"))
    axes[0].legend()
    axes[1].set_title(plain_text("a $ b $"))
    image = cv2.imdecode(np.frombuffer(to_png(figure), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (330, 440, 3)
