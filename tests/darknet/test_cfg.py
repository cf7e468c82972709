"""The grammar: what darknet reads is read alike, what it stumbles over is an error with a line."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from scantling.darknet import read_cfg
from scantling.darknet.cfg import MAX_CHARACTERS, MAX_SECTIONS, Section, parse_cfg
from scantling.errors import InvalidCfg, printable


def section(options: str) -> Section:
    return parse_cfg(f"[net]\n[convolutional]\n{options}", "a.cfg")[1]


def test_white_space_does_not_count_anywhere():
    (net, layer) = parse_cfg("\ufeff [ne t] \r\n\r\n[conv]\r\n\tfil ters = 3 2 \r\n", "a.cfg")
    assert (net.kind, layer.kind, layer.line) == ("net", "convolutional", 3)
    assert layer.integer("filters", 1) == 32


def test_comments_are_skipped_at_the_start_of_a_line():
    assert not section("# filters=3\n; size=3\n").options


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("conv", "convolutional"),
        ("max", "maxpool"),
        ("local_avg", "local_avgpool"),
        ("avg", "avgpool"),
        ("conn", "connected"),
        ("soft", "softmax"),
        ("lrn", "normalization"),
        ("silence", "empty"),
    ],
)
def test_aliases_are_resolved(alias: str, kind: str):
    assert parse_cfg(f"[network]\n[{alias}]", "a.cfg")[1].kind == kind


def test_the_first_of_two_equal_keys_counts():
    assert section("filters=8\nfilters=16\n").integer("filters", 1) == 8


def test_an_option_knows_its_line():
    assert section("size=3\n\nfilters=8\n").options["filters"].line == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-3", -3), ("+4", 4), ("1.", 1), ("2.00", 2), ("72###P3", 72), ("5;x", 5)],
)
def test_whole_numbers_are_read_up_to_a_comment(text: str, value: int):
    assert section(f"size={text}").integer("size", 1, low=-9, high=99) == value


@pytest.mark.parametrize("text", ["", "x", "2.5", "1e3", "0x10", "12px", "9" * 5000, "٣"])
def test_what_is_no_whole_number_is_refused(text: str):
    with pytest.raises(InvalidCfg, match=r"a\.cfg:3: \[convolutional\] size=.*whole number"):
        section(f"size={text}").integer("size", 1)


@pytest.mark.parametrize(
    ("text", "value"), [(".5", 0.5), ("1.", 1), ("-2e-3", -0.002), ("1.05#x", 1.05)]
)
def test_numbers_are_read_as_c_reads_them(text: str, value: float):
    assert section(f"scale={text}").number("scale", 1) == pytest.approx(value)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "--1", "1,5", "."])
def test_what_is_no_number_is_refused(text: str):
    with pytest.raises(InvalidCfg, match="a number"):
        section(f"scale={text}").number("scale", 1)


def test_a_list_ends_at_a_comment():
    assert section("layers=-1, 36 # and, not, these").integers("layers") == (-1, 36)


def test_a_list_with_a_gap_is_refused():
    with pytest.raises(InvalidCfg, match="layers='' is not a whole number"):
        section("layers=1,,2").integers("layers")


def test_an_absent_option_has_its_default():
    layer = section("")
    assert layer.integer("size", 3) == 3
    assert layer.number("scale", 1.5) == 1.5
    assert layer.word("activation", "logistic") == "logistic"
    assert layer.integers("layers") == ()
    assert not layer.flag("pad")


def test_a_value_out_of_range_says_the_range():
    with pytest.raises(InvalidCfg, match=r"size=0 is out of range\. Use 1 to 9"):
        section("size=0").integer("size", 1, low=1, high=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no sections"),
        ("# only a comment", "no sections"),
        ("[convolutional]", "first section is not"),
        ("[NET]\nwidth=3", r"first section is not \[net\]. Did you mean .net."),
        ("width=3\n[net]", "a.cfg:1: 'width=3' stands before the first section"),
        ("[net\nwidth=3", "no ']'"),
        ("[net]\nwidth", "a.cfg:2: .net. 'width' is not of the form key=value"),
        ("[net]\n=3", "key=value"),
        ("[net]\n[conv]\n[net]", "a.cfg:3: .net. a second"),
        ("[net]" + "\n" * MAX_CHARACTERS, "characters"),
        ("[net]" + "\n[a]" * MAX_SECTIONS, "too many sections"),
        ("[net]\n" + "\n".join(f"a{i}=1" for i in range(300)), "too many options"),
    ],
)
def test_what_darknet_does_not_allow_is_an_error_with_a_line(text: str, message: str):
    with pytest.raises(InvalidCfg, match=message):
        parse_cfg(text, "a.cfg")


def test_a_list_without_end_is_refused():
    with pytest.raises(InvalidCfg, match="lists 5001 values"):
        section("layers=" + "1," * 5000 + "1").integers("layers")


@given(st.text(alphabet=st.characters() | st.sampled_from("[]=#;,.-\n\r 0123456789netcov")))
def test_arbitrary_text_is_parsed_or_refused(text: str):
    for prefix in ("", "[net]\n", "[net]\n[conv]\na="):
        try:
            sections = parse_cfg(prefix + text, "a.cfg")
        except InvalidCfg:
            continue
        assert sections[0].kind == "net"
        for found in sections:
            for key in found.options:
                for read in (found.integer, found.number):
                    try:
                        read(key, 0)
                    except InvalidCfg as error:
                        assert "a.cfg:" in str(error)  # noqa: PT017
                try:
                    found.numbers(key)
                except InvalidCfg as error:
                    assert printable(key) in str(error)  # noqa: PT017


@pytest.mark.parametrize("ends", ["\r", "\r\n"])
def test_lines_may_end_in_any_way(tmp_path: Path, ends: str):
    path = tmp_path / "a.cfg"
    text = "[net]\nwidth=64\nheight=32\n# a comment\n[convolutional]\nfilters=18\n"
    text += "[yolo]\nclasses=1\nmask=0,1,2\nanchors=1,2, 3,4, 5,6\n"
    path.write_bytes(text.replace("\n", ends).encode())
    spec = read_cfg(path)
    assert spec.image_size == (32, 64)
    assert "width=64" in spec.cfg.splitlines()
    wrong = text.replace("filters=18", "filtres=18").replace("\n", ends)
    path.write_bytes(wrong.encode())
    with pytest.raises(InvalidCfg, match=r"a\.cfg:6: "):
        read_cfg(path)
