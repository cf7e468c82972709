"""A head refuses the settings of another."""

import pytest

from scantling.detector import build_detector
from scantling.errors import InvalidSpec
from scantling.specs import CATALOG


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("yolov4-tiny", "depth", 3),
        ("yolov4-tiny", "redundant_bias", True),
        ("efficientdet-d0", "scale_xy", (1.1,) * 5),
        ("efficientdet-d0", "channels", (64,) * 5),
    ],
)
def test_every_head_refuses_settings_that_it_does_not_have(name: str, setting: str, value: object):
    spec = CATALOG[name]
    with pytest.raises(InvalidSpec, match=f"this kind has no {setting}"):
        build_detector(spec.replace(head=spec.head.replace(**{setting: value})))
