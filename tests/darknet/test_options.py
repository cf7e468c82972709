"""Every option is supported, ignored because it has no effect, or refused; none is skipped."""

import pytest

from scantling.darknet.cfg import parse_cfg
from scantling.darknet.options import KNOWN, UNSUPPORTED, check_options
from scantling.errors import InvalidCfg


def check(text: str) -> None:
    check_options(parse_cfg(text, "a.cfg"))


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


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_every_layer_that_is_not_offered_is_refused_by_name(kind: str):
    with pytest.raises(InvalidCfg, match=rf"a.cfg:2: \[{kind}\] this layer is not supported: "):
        check(f"[net]\n[{kind}]\n")


@pytest.mark.parametrize(
    ("kind", "option"),
    [(kind, option) for kind, known in KNOWN.items() for option in sorted(known.harmless)],
)
def test_every_option_that_is_not_offered_is_refused_but_at_its_harmless_value(
    kind: str, option: str
):
    layer = f"[net]\n[{kind}]\n"
    harmless = KNOWN[kind].harmless[option]
    check(f"{layer}{option}={harmless}")
    with pytest.raises(InvalidCfg, match=f"{option}=7 is not supported"):
        check(f"{layer}{option}=7")


@pytest.mark.parametrize("option", ["tree", "map"])
def test_the_class_tree_of_yolo9000_is_refused(option: str):
    with pytest.raises(InvalidCfg, match=f"{option} is not supported"):
        check(f"[net]\n[region]\n{option}=9k.tree")


def test_no_option_has_two_fates():
    for known in KNOWN.values():
        fates = [known.supported, known.ignored, set(known.harmless), known.unsupported]
        assert sum(map(len, fates)) == len(set().union(*fates))
