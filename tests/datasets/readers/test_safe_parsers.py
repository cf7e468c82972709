"""Parsers of untrusted text: what is refused, what is kept as it was written, and on which line."""

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from scantling.datasets.safe_json import find_lines, parse_json
from scantling.datasets.safe_text import parse_xml, parse_yaml, read_xml
from scantling.errors import InvalidData

FILE = Path("some.file")


def codes(caught: pytest.ExceptionInfo[InvalidData]) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.line) for finding in caught.value.findings]


def test_xml_gives_names_texts_and_lines():
    data = "<?xml version='1.0'?>\n<a x='1'>\n <b> one </b><b>two</b>\n <!-- no -->\n <c>é</c></a>"
    root = parse_xml(data.encode(), FILE)
    assert (root.name, root.line) == ("a", 2)
    children = [(child.name, child.text, child.line) for child in root.children]
    assert children == [("b", "one", 3), ("b", "two", 3), ("c", "é", 5)]
    assert root.find_text("b") == "one"
    assert root.find_text("nothing") is None


def test_xml_that_multiplies_entities_is_refused_before_any_is_made():
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    data = f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><a>&e11;</a>'.encode()
    tracemalloc.start()
    with pytest.raises(InvalidData, match=r"E104.*document type") as caught:
        parse_xml(data, FILE)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert codes(caught) == [("E104", 1)]


def test_xml_reads_no_other_file(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    data = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret}">]><a>&x;</a>'
    with pytest.raises(InvalidData, match="E104"):
        parse_xml(data.encode(), FILE)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<a>" * 33 + b"</a>" * 33, "E104"),
        (b"<a>" * 1_000_000, "E104"),
        (b"<a>" + b"<b/>" * 600_000 + b"</a>", "E230"),
        (b"<a><b></a>", "E103"),
        (b"", "E103"),
        (b"<a>&nbsp;</a>", "E103"),
        (b"<a>\xe9</a>", "E102"),
        ("<a/>".encode("utf-16"), "E102"),
        (b"<?xml version='1.0' encoding='utf-16'?><a>\xff</a>", "E102"),
    ],
)
def test_xml_that_is_not_plain_is_refused(data: bytes, code: str):
    with pytest.raises(InvalidData, match=code):
        parse_xml(data, FILE)


def test_files_beyond_the_limit_are_not_read(tmp_path: Path):
    large = tmp_path / "large.xml"
    with large.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(InvalidData, match="E230 has 16,777,217 bytes"):
        read_xml(large)


def test_yaml_keeps_every_value_as_it_was_written():
    text = "names: [no, 1.10, ~, 0x10, 2001-01-01, 'a: b', \"q\"]\nnc: 07\nempty:\n"
    value, lines = parse_yaml(text.encode(), FILE)
    assert value == {
        "names": ["no", "1.10", "~", "0x10", "2001-01-01", "a: b", "q"], "nc": "07", "empty": "",
    }  # fmt: skip
    assert lines == {"names": 1, "nc": 2, "empty": 3}


def test_yaml_that_multiplies_aliases_is_refused():
    bomb = "a: &a [x, x]\n" + "".join(
        f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else '*a'] * 10)}]\n" for n in range(12)
    )
    with pytest.raises(InvalidData, match="E104 line 1: has an anchor or alias"):
        parse_yaml(bomb.encode(), FILE)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!int", "!mine", "!!binary"])
def test_yaml_tags_run_nothing(tag: str, tmp_path: Path):
    made = tmp_path / "made"
    with pytest.raises(InvalidData, match="E104 line 2: has a tag"):
        parse_yaml(f"a: 1\nx: {tag} ['touch {made}']\n".encode(), FILE)
    assert not made.exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 40 + "]" * 40, "E104"),
        ("[" * 100_000, "E104"),
        ("- " * 100_000, "E104"),
        ("a: 1\na: 2\n", "E103"),
        ("a: 1\n---\nb: 2\n", "E103"),
        ("? [a]\n: 1\n", "E103"),
        ("a: [1\n", "E103"),
        ("a: \x07\n", "E103"),
        ("a: '\n", "E103"),
    ],
)
def test_yaml_that_is_not_plain_is_refused(text: str, code: str):
    with pytest.raises(InvalidData, match=code):
        parse_yaml(text.encode(), FILE)


def test_json_of_endless_nesting_and_endless_numbers_is_refused():
    with pytest.raises(InvalidData, match="E104"):
        parse_json(b"[" * 100_000 + b"]" * 100_000, FILE)
    with pytest.raises(InvalidData, match="E104"):
        parse_json(b'{"a":' * 100_000, FILE)
    with pytest.raises(InvalidData, match="E103"):
        parse_json(b"1" * 10_000, FILE)
    with pytest.raises(InvalidData, match="E103 line 2") as caught:
        parse_json(b'{"a": 1,\n"b" 2}', FILE)
    assert codes(caught) == [("E103", 2)]


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_lines_of_json_items_are_found(indent: int | None):
    items = [{"id": n, "text": 'a "]}\\', "list": [[1], [2, [3]]]} for n in range(5)]
    content = {"first": {"items": [0]}, "items": items, "last": [1], "none": []}
    text = json.dumps(content, indent=indent)
    lines = text.split("\n")
    starts = [n for n, line in enumerate(lines, start=1) if line == " " * 2 * (indent or 0) + "{"]
    found = find_lines(text, "items", [0, 3, 4, 9])
    expected = [starts[n] for n in (0, 3, 4)] if indent is not None else [1, 1, 1]
    assert [found[n] for n in (0, 3, 4)] == expected


def test_a_text_of_sixteen_megabytes_takes_no_more_than_seconds():
    start = time.process_time()
    parse_xml(b"<a>" + b"x" * (2**24 - 8) + b"</a>", FILE)
    parse_yaml(b"a: " + b"x" * (2**22 - 8), FILE)
    assert time.process_time() - start < 10
