"""Hints name what was meant, never another thing of a like name."""

import pytest

from scantling.blocks import ACTIVATIONS
from scantling.errors import UnknownName, lookup, nearest_hint
from scantling.evaluation import PROTOCOLS
from scantling.postprocess.selection import NMS


@pytest.mark.parametrize(
    "name", ["silu", "hard_swish", "hswish", "prelu", "celu", "lrelu", "relu7"]
)
def test_no_activation_is_offered_for_another(name: str):
    with pytest.raises(UnknownName) as error:
        lookup(ACTIVATIONS, name, "activation")
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "name", "what"),
    [
        (NMS, "ciou", "kind of NMS"),
        (NMS, "giou", "kind of NMS"),
        (PROTOCOLS, "voc10", "protocol"),
        (dict.fromkeys(("fp32", "fp16", "int8")), "tf32", "precision"),
        (dict.fromkeys(("fp32", "fp16", "int8")), "int4", "precision"),
    ],
)
def test_what_is_spelt_alike_but_is_another_thing_is_not_offered(table, name: str, what: str):
    with pytest.raises(UnknownName) as error:
        lookup(table, name, what)
    assert "Did you mean" not in str(error.value)


def test_an_error_of_typing_is_seen_through():
    assert nearest_hint("YOLO", ["yolo", "net"]) == " Did you mean 'yolo'?"
    assert nearest_hint("letterbox", ["letter_box"], same_letters=True).endswith("'letter_box'?")
    assert nearest_hint("Leaky", ACTIVATIONS, same_letters=True) == " Did you mean 'leaky'?"
    with pytest.raises(UnknownName, match="Did you mean 'greedy'"):
        lookup(NMS, "gredy", "kind of NMS")
