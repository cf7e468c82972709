"""Every option is supported, without effect, warned of or refused; none is skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scantling.darknet.cfg import parse_cfg
from scantling.darknet.options import (
    SECTIONS,
    UNSUPPORTED,
    Rule,
    check_options,
    not_trained,
    rules_of,
)
from scantling.errors import InvalidCfg

PARSER = Path(__file__).with_name("parser_options.txt")
RULES = [(kind, key, rule) for kind in SECTIONS for key, rule in rules_of(kind).items()]


def check(text: str) -> None:
    check_options(parse_cfg(text, "a.cfg"))


def one(kind: str, line: str) -> str:
    return f"[net]\n{line}\n" if kind == "net" else f"[net]\n[{kind}]\n{line}\n"


def options_of_darknet() -> Iterator[tuple[str, str]]:
    """(kind of section, option) of everything that darknet's parser or its cfg files know."""
    lines = [line for line in PARSER.read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        kind, _, names = line.partition(": ")
        kind = kind.removesuffix(" (cfg files)")
        kinds = [k for k in SECTIONS if k != "net"] if kind == "any layer" else [kind]
        for one_kind in kinds:
            yield from ((one_kind, name) for name in names.split())


def test_darknet_has_no_option_that_is_not_in_our_table():
    missing = [
        (kind, name)
        for kind, name in options_of_darknet()
        if kind not in UNSUPPORTED and name not in rules_of(kind)
    ]
    assert not missing
    assert len({name for _, name in options_of_darknet()}) > 190


def test_every_rule_says_why():
    for _, key, rule in RULES:
        assert rule.why, key
        assert rule.outcome in ("supported", "no effect", "not trained", "refused")
    assert not set(SECTIONS) & set(UNSUPPORTED)


def test_a_misspelt_option_suggests_the_nearest():
    with pytest.raises(
        InvalidCfg,
        match=r"a.cfg:4: \[convolutional\] unknown option 'fliters'.*"
        "Did you mean 'filters'",
    ):
        check("[net]\n[convolutional]\nsize=3\nfliters=3\n")


def test_a_misspelt_layer_suggests_the_nearest():
    with pytest.raises(InvalidCfg, match="Did you mean 'convolutional'"):
        check("[net]\n[convolutionel]\n")


@pytest.mark.parametrize(("given", "meant"), [("YOLO", "yolo"), ("MaxPool", "maxpool")])
def test_a_section_in_capitals_is_told_the_right_name(given: str, meant: str):
    with pytest.raises(InvalidCfg, match=f"Did you mean '{meant}'"):
        check(f"[net]\n[{given}]\n")


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_every_layer_that_is_not_offered_is_refused_by_name(kind: str):
    with pytest.raises(InvalidCfg, match=rf"a.cfg:2: \[{kind}\] this layer is not supported: "):
        check(f"[net]\n[{kind}]\n")


@pytest.mark.parametrize(
    ("kind", "key", "rule"), [entry for entry in RULES if entry[2].outcome == "refused"]
)
def test_every_option_that_is_not_offered_is_refused_but_at_its_inert_value(
    kind: str, key: str, rule: Rule
):
    if rule.inert is not None:
        check(one(kind, f"{key}={rule.inert:g}"))
    with pytest.raises(InvalidCfg, match=rf"{key}(=7)? is not supported: "):
        check(one(kind, f"{key}=7"))


@pytest.mark.parametrize(
    ("kind", "key", "rule"), [entry for entry in RULES if entry[2].outcome == "not trained"]
)
def test_what_training_goes_without_is_told_but_at_its_inert_value(kind: str, key: str, rule: Rule):
    text = one(kind, f"{key}=7")
    check(text)  # prediction is the same
    told = not_trained(parse_cfg(text, "a.cfg"))
    assert told == [f"a.cfg: [{kind}] {key}=7: {rule.why}; training goes without it"]
    if rule.inert is not None:
        assert not not_trained(parse_cfg(one(kind, f"{key}={rule.inert:g}"), "a.cfg"))


def test_an_option_of_many_layers_is_told_once():
    layers = "[convolutional]\nlearning_rate=0.1\n" * 3
    assert len(not_trained(parse_cfg(f"[net]\n{layers}", "a.cfg"))) == 1


@pytest.mark.parametrize("line", ["show_receptive_field=1", "seen=0", "max_epochs=3"])
def test_what_darknet_only_prints_or_does_not_read_is_no_error(line: str):
    check(one("net", line))
