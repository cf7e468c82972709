"""Small cfgs, written where the reader finds them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scantling.darknet import DarknetNetwork, build_cfg_network, read_cfg

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
HEAD = """
[convolutional]
filters=24
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58
classes=3
num=3
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], DarknetNetwork]:
    """Build the network of layers that are given between `[net]` and a detection head."""

    def from_layers(layers: str, *, net: str = NET, head: str = HEAD) -> DarknetNetwork:
        path = tmp_path / "small.cfg"
        path.write_text(net + layers + head)
        return build_cfg_network(read_cfg(path))

    return from_layers
