"""Tables are as wide as the terminal; what is wider goes on below, row by row."""

import pytest

from scantling.cli.tables import print_table

COLUMNS = ("row", "name", "latency, ms", "p95", "throughput", "memory")
ROWS = [
    ("1", "tiny", "11.7 (5.3–14.2)", "14.0", "83.1", "612"),
    ("2", "a model with a long name", "104 (99–120)", "119", "9.6", "1,204"),
]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, ROWS, keys=2)
    out = capsys.readouterr().out
    lines = out.splitlines()
    # 30 are the keys', and at least one other column stands beside them
    assert max(map(len, lines)) <= max(width, 30 + 2 + 15)
    for row in (COLUMNS, *ROWS):
        assert all(cell in out for cell in row)
    parts = sum(line.startswith("row") for line in lines)
    assert parts == {40: 4, 60: 2, 80: 1, 200: 1}[width]
    assert sum(line.startswith("2 ") for line in lines) == parts


def test_figures_stand_to_the_right_and_words_to_the_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("a", "n", "words"), [("x", "5", "one"), ("y", "10", "three")], left=["words"])
    assert capsys.readouterr().out.splitlines() == [
        "", "a   n  words", "────────────", "x   5  one", "y  10  three", "",
    ]  # fmt: skip


def test_nothing_in_a_cell_steers_the_terminal(capsys: pytest.CaptureFixture[str]):
    print_table(("a",), [("\x1b[2J",)])
    assert "\x1b" not in capsys.readouterr().out
