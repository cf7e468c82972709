"""One rule says which image sizes a cfg's network takes: held to the network, run at every size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from opencv_oracle import (
    images,
    opencv_boxes,
    our_boxes,
    randomise,
    relative_difference,
    use_opencv_epsilon,
)

from scantling.checkpoints import Model
from scantling.darknet import DarknetNetwork, build_cfg_network, read_cfg
from scantling.engines.graphs import ExportGraph, make_metadata
from scantling.engines.torch_engine import TorchEngine
from scantling.errors import InvalidCfg, InvalidSpec

Build = Callable[..., DarknetNetwork]
Chain = tuple[DarknetNetwork, torch.Tensor]

SIDES = range(1, 97)

NET = "[net]\nwidth=SIDE\nheight=SIDE\nchannels=3\n"
REGION = """
[convolutional]
filters=24
activation=linear
[region]
anchors=1,1, 2,2, 3,3
classes=3
num=3
softmax=1
"""


def conv(stride: int = 1, *, size: int = 3, pad: int = 1, filters: int = 4) -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        f"pad={pad}\nactivation=leaky\n"
    )


def up(stride: int = 2) -> str:
    return f"[upsample]\nstride={stride}\n"


def route(*layers: int) -> str:
    return f"[route]\nlayers={','.join(map(str, layers))}\n"


POOL = "[maxpool]\nsize=2\nstride=2\n"
BRANCH = "[convolutional]\nfilters=24\nactivation=linear\n[yolo]\nanchors=9,9\nmask=0\nclasses=19\n"
# Layers → the least divisor of sizes, worked out by hand; None where there is none.
JOINED = {
    "down to 16, back to 8 (deep-stride)": (conv(2) * 4 + up() + route(-1, -3), 16),
    "down to 32 and back to 8 in two steps": (
        conv(2) * 5 + up() + route(-1, -3) + conv() + up() + route(-1, 2), 32,
    ),
    "down to 32 and back to 8 at once": (conv(2) * 5 + up(4) + route(-1, 2), 32),
    "added": (conv(2) * 3 + up() + "[shortcut]\nfrom=1\nactivation=linear\n", 8),
    "strides of 3": (conv(2) + conv(3) + up(3) + route(-1, 0), 6),
    "strides of 2 and 3 beside one another": (
        conv(2) + conv(3) + up(3) + route(-1, 0) + conv(2) * 2 + up(4) + route(-1, 0), 24,
    ),
    "down with pools, and down again": (
        conv() + POOL * 3 + up() + route(-1, 2) + conv(2) + route(-1, 3), 8,
    ),
    "reorg of a map of 2": (conv(2) + "[reorg3d]\nstride=2\n", 4),
    "a mask for every place": (
        conv(2) * 2 + conv(filters=1) + up() + "[scale_channels]\nfrom=0\nscale_wh=1\n", 4,
    ),
}  # fmt: skip
FREE = {
    "nothing is joined": conv(2) * 3,
    "pools": conv() + POOL * 3,
    "joined with what has gone the same way": (
        conv(2) * 2
        + conv() * 2
        + "[shortcut]\nfrom=-3\nactivation=linear\n"
        + conv()
        + route(-1, 1)
    ),
    "a stride of 5": conv(5),
    "kernels without padding": conv(2, pad=0) + conv(2, size=5, pad=0),
    "a mask of one cell": conv(2) * 2 + "[avgpool]\n" + conv(size=1) + "[scale_channels]\nfrom=1\n",
}


def takes(network: DarknetNetwork, side: int) -> bool:
    """Whether the network runs on a square of that side."""
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, side, side))
    except RuntimeError:
        return False
    return True


def built(build: Build, layers: str, side: int, head: str | None = None) -> DarknetNetwork:
    options = {} if head is None else {"head": head}
    return build(layers, net=NET.replace("SIDE", str(side)), **options).eval()


@pytest.mark.parametrize("name", JOINED)
def test_the_rule_of_joined_maps_is_what_runs(build: Build, name: str):
    layers, divisor = JOINED[name]
    network = built(build, layers, 96)
    sizes = network.sizes
    works = [side for side in SIDES if takes(network, side)]
    assert sizes.divisor == divisor
    assert [side for side in SIDES if sizes.fits(side)] == list(range(divisor, 97, divisor))
    assert set(range(divisor, 97, divisor)) <= set(works)
    cell = network.strides[
        -1
    ]  # of sides with whole cells, but for one cell, which torch adds to any
    assert {side for side in works if side % cell == 0 and side % divisor} <= {cell}


@pytest.mark.parametrize("name", FREE)
def test_a_network_that_joins_nothing_takes_every_size_that_runs(build: Build, name: str):
    network = built(build, FREE[name], 96)
    assert network.sizes.divisor == 1
    for side in range(1, 100):
        assert network.sizes.fits(side) == takes(network, side), side
    assert network.sizes.step == network.strides[-1]


def test_anchors_in_cells_want_whole_cells(build: Build):
    network = built(build, conv(2) * 3, 96, REGION)
    assert [side for side in range(1, 50) if network.sizes.fits(side)] == [8, 16, 24, 32, 40, 48]


def test_a_level_on_a_coarser_map_wants_whole_cells_only_where_nobody_named_a_size(build: Build):
    sizes = built(build, conv(2) * 3 + up() + route(-1, 1) + route(2) + conv(2), 96).sizes
    assert (sizes.divisor, sizes.step) == (8, 16)
    assert sizes.fits(72)


def test_maps_that_agree_at_one_size_alone_make_that_the_only_size(build: Build, tmp_path: Path):
    layers = conv(2) * 2 + "[avgpool]\n" + up(24) + route(-1, 1)
    network = built(build, layers, 96)
    assert network.sizes.divisor is None
    assert [side for side in range(1, 300) if network.sizes.fits(side)] == [93, 94, 95, 96]
    spec = read_cfg(tmp_path / "small.cfg")
    with pytest.raises(InvalidSpec, match=r"image height 64 and width 64.*differ in size. Use 93"):
        network.sizes.check(spec.name, (64, 64))
    with pytest.raises(InvalidCfg, match="different sizes"):
        built(build, layers, 64)


def test_the_cfgs_own_size_and_one_that_is_asked_for_are_refused_in_the_same_words(
    build: Build, tmp_path: Path
):
    layers, _ = JOINED["down to 16, back to 8 (deep-stride)"]
    words = "image height 72 and width 72 are not multiples of 16, .*Use 64 or 80"
    with pytest.raises(InvalidCfg, match=rf"small.cfg:3: \[net\] {words}"):
        built(build, layers, 72)
    built(build, layers, 80)
    spec = read_cfg(tmp_path / "small.cfg")
    with pytest.raises(InvalidSpec, match=words):
        build_cfg_network(spec.replace(image_size=(72, 72)))
    with pytest.raises(InvalidSpec, match=words):
        build_cfg_network(spec).sizes.check(spec.name, (72, 72))
    with pytest.raises(InvalidSpec, match=r"width 72 is not a multiple of 16.*Use 64 or 80\."):
        build_cfg_network(spec).sizes.check(spec.name, (64, 72))
    both = "Use 64 or 80 for the height, 96 or 112 for the width"
    with pytest.raises(InvalidSpec, match=both):
        build_cfg_network(spec).sizes.check(spec.name, (72, 104))
    with pytest.raises(InvalidSpec, match=r"Use 16\."):
        build_cfg_network(spec).sizes.check(spec.name, (9, 9))


@pytest.fixture
def chain(build: Build) -> Chain:
    """A plain chain of stride 8, made for 70 pixels, which are 9 cells less two pixels."""
    torch.manual_seed(0)
    network = build(conv(2) * 3, net=NET.replace("SIDE", "70"))
    batch = images(2, 70)
    randomise(network, batch)
    return network, batch


def test_cells_that_are_not_whole_are_opencvs(chain: Chain, tmp_path: Path):
    network, batch = chain
    use_opencv_epsilon(network)
    blob = batch[:1].numpy()
    cfg = (tmp_path / "small.cfg").read_text()
    (theirs,) = opencv_boxes("sizes", cfg, network, blob, tmp_path)
    (ours,) = our_boxes(network, blob)
    assert len(ours) == 9 * 9 * 3
    assert relative_difference(ours, theirs) < 2e-5


def test_cells_that_are_not_whole_are_exported_as_they_are(chain: Chain, tmp_path: Path):
    network, _ = chain
    model = Model(read_cfg(tmp_path / "small.cfg"), network, ("a", "b", "c"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 70, 70, 3), np.uint8)
    with torch.no_grad():
        boxes, scores = ExportGraph(model, make_metadata(model))(torch.from_numpy(pixels))
    expected = TorchEngine(model)(pixels)
    torch.testing.assert_close(boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores, expected.scores, rtol=1e-4, atol=1e-5)
