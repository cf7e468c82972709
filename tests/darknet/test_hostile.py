"""Every cfg that is not supported is refused in words; none hangs, or eats the memory."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scantling.darknet import build_cfg_network, read_cfg
from scantling.errors import InvalidCfg, ScantlingError

CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
NET = "[net]\nwidth=32\nheight=32\n"
YOLO = "[yolo]\nanchors=10,14,23,27,37,58\nmask=0,1,2\nclasses=3\nnum=3\n"


def head(activation: str, options: str = "") -> str:
    layer = f"[convolutional]\nfilters=24\nsize=1\nactivation={activation}\n"
    return f"\n{layer}{YOLO}{options}\n"


# What is wrong → the cfg's layers, and what the message must say.
HOSTILE = {
    "no detection layer": (NET + CONV, "no detector"),
    "no width": ("[net]\nheight=32\n" + head("linear"), r"\[net\] width is missing"),
    "grey images": (NET + "channels=1\n" + head("linear"), r"a.cfg:4: \[net\] channels=1"),
    "size 0": ("[net]\nwidth=0\nheight=32\n" + head("linear"), "width=0 is out of range"),
    "huge image": ("[net]\nwidth=99999\nheight=32\n" + head("linear"), "out of range"),
    "negative filters": (NET + "[conv]\nfilters=-8\n" + head("linear"), "filters=-8 is out of"),
    "huge filters": (NET + "[conv]\nfilters=999999999\n" + head("linear"), "out of range"),
    "too many weights": (
        NET + "[conv]\nfilters=65536\nstride=32\n[conv]\nfilters=65536\n" + head("linear"),
        "weights here make more than",
    ),
    "an image that fills the memory": (
        "[net]\nwidth=16384\nheight=16384\n" + CONV + "stride=2\n" + head("linear"),
        "its output would be 3×16384×16384",
    ),
    "too many values": (NET + "[upsample]\nstride=64\n" * 4 + head("linear"), "output would be"),
    "stride 0": (NET + "[conv]\nstride=0\n" + head("linear"), "stride=0 is out of range"),
    "a size that does not fit where maps are joined": (
        NET.replace("32", "36")
        + CONV
        + (CONV + "stride=2\n") * 3
        + "[upsample]\nstride=2\n[route]\nlayers=-1,-3\n"
        + head("linear"),
        "a.cfg:3: .net. image height 36 and width 36 are not multiples of 8.*Use 32 or 40",
    ),
    "kernel without end": (NET + "[conv]\nsize=999999\n" + head("linear"), "size=999999 is out"),
    "kernel beyond the map": (NET + "[conv]\nsize=33\n" + head("linear"), "does not fit"),
    "groups that do not divide": (
        NET + CONV + "[conv]\nfilters=9\ngroups=2\n" + head("linear"),
        "groups=2 does not divide its 9 filters",
    ),
    "unknown activation": (
        NET + "[conv]\nactivation=leaky # x\n" + head("linear"),
        r"a.cfg:5: \[convolutional\] activation 'leaky#x' is not supported.*Did you mean 'leaky'",
    ),
    "dilation without its padding": (
        NET + "[conv]\nsize=3\ndilation=2\n" + head("linear"),
        "dilation=2 is not supported with size=3 and padding=0",
    ),
    "weights shared with nobody": (
        NET + CONV + "[conv]\nshare_index=5\n" + head("linear"),
        "share_index=5 is out of range",
    ),
    "weights shared with another size": (
        NET + CONV + "[conv]\nbatch_normalize=1\nfilters=8\nshare_index=0\n" + head("linear"),
        "the weights of layer 0 are",
    ),
    "route to itself": (NET + CONV + "[route]\nlayers=1\n" + head("linear"), "names layer 1, but"),
    "route before the start": (NET + CONV + "[route]\nlayers=-2\n" + head("linear"), "-2"),
    "route to nothing": (NET + CONV + "[route]\n" + head("linear"), "layers is missing"),
    "route of a detection layer": (
        NET + CONV + head("linear") + "[route]\nlayers=-1\n" + head("linear"),
        r"reads layer 2, a \[yolo\]",
    ),
    "a layer on a detection layer": (NET + head("linear") + CONV, r"a \[yolo\], which is no"),
    "route of different sizes": (
        NET + CONV + "[maxpool]\nstride=2\n[route]\nlayers=-1,0\n" + head("linear"),
        "different sizes: 8×16×16, 8×32×32",
    ),
    "route in uneven groups": (
        NET + CONV + "[route]\nlayers=-1\ngroups=3\n" + head("linear"),
        "groups=3 does not divide 8 channels",
    ),
    "route to a group that is not there": (
        NET + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n" + head("linear"),
        "group_id=2 is out of range",
    ),
    "shortcut as the first layer": (NET + "[shortcut]\nfrom=-1\n" + head("linear"), "-1"),
    "shortcut of different sizes": (
        NET + CONV + "[maxpool]\nstride=2\n[shortcut]\nfrom=-2\n" + head("linear"),
        "different sizes",
    ),
    "shortcut with unknown weights": (
        NET + CONV + CONV + "[shortcut]\nfrom=-2\nweights_type=some\n" + head("linear"),
        "weights_type=some is unknown",
    ),
    "shortcut with unknown normalization": (
        NET + CONV + CONV + "[shortcut]\nfrom=-2\nweights_normalization=x\n" + head("linear"),
        "weights_normalization=x is unknown",
    ),
    "sam of another shape": (
        NET + CONV + "[conv]\nfilters=4\n[sam]\nfrom=-2\n" + head("linear"),
        "the mask is 4×32×32",
    ),
    "sam of two": (NET + CONV + CONV + "[sam]\nfrom=-2,-1\n" + head("linear"), "exactly one"),
    "a scale of another shape": (
        NET + CONV + CONV + "[scale_channels]\nfrom=-2\n" + head("linear"),
        "Make the scale 8×1×1",
    ),
    "upsample downwards": (NET + CONV + "[upsample]\nstride=-2\n" + head("linear"), "stride=-2"),
    "reorg of an odd map": (NET + "[reorg3d]\nstride=5\n" + head("linear"), "not multiples of 5"),
    "reorg of few channels": (NET + CONV + "[reorg]\nstride=4\n" + head("linear"), "stride² = 16"),
    "pooling of nothing": (
        NET + "[maxpool]\nsize=2\npadding=9\n" + head("linear"),
        "outside the map",
    ),
    "maxpool_depth that does not divide": (
        NET + "[maxpool]\nmaxpool_depth=1\nout_channels=2\n" + head("linear"),
        "out_channels=2 does not divide",
    ),
    "a probability above 1": (NET + "[dropout]\nprobability=2\n" + head("linear"), "0 to 1"),
    "wrong filters": (
        NET + "[conv]\nfilters=255\nactivation=linear\n" + YOLO,
        "3 anchors and 3 classes need 24. Write filters=24",
    ),
    "no classes": (NET + head("linear", "").replace("classes=3", "classes=0"), "classes=0"),
    "different classes": (
        NET + head("linear") + "[route]\nlayers=0\n" + head("linear").replace("=3\nn", "=4\nn"),
        r"classes=4, but \[yolo\] in line 9 says 3",
    ),
    "mask beyond the anchors": (
        NET + head("linear").replace("0,1,2", "0,1,3"),
        "anchor 3 is asked for, but anchors lists 3",
    ),
    "half an anchor": (NET + head("linear").replace(",58", ""), "anchors lists 5 numbers"),
    "an anchor without size": (NET + head("linear").replace("58", "0"), "without size"),
    "more anchors than a cell has": (
        NET + "[conv]\nfilters=8200\nactivation=linear\n[yolo]\nclasses=3\nnum=1025\n"
        "anchors=" + ",".join("9" * 2050),
        r"a.cfg:10: \[yolo\] 1025 anchors in a cell. Use at most 1024",
    ),
    "one anchor more often than a cell has": (
        NET + "[conv]\nfilters=8200\nactivation=linear\n[yolo]\nclasses=3\nanchors=9,9\n"
        "mask=" + ",".join("0" * 1025),
        "1025 anchors in a cell",
    ),
    "cells that are not square": (
        NET + "[conv]\nfilters=4\nstride_x=2\n" + head("linear"),
        "a cell is 1×2 pixels",
    ),
    "region without softmax": (
        NET + "[conv]\nfilters=24\nactivation=linear\n[region]\nanchors=1,1,2,2,3,3\n"
        "num=3\nclasses=3\n",
        "without softmax=1",
    ),
    "region with more anchors than a cell has": (
        NET + "[conv]\nfilters=8200\nactivation=linear\n[region]\nsoftmax=1\nclasses=3\n"
        "num=1025\nanchors=" + ",".join("9" * 2050),
        "1025 anchors in a cell",
    ),
    "region with another num": (
        NET + "[conv]\nfilters=24\nactivation=linear\n[region]\nanchors=1,1,2,2,3,3\n"
        "num=5\nclasses=3\nsoftmax=1\n",
        "num=5 but 3 anchors",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_cfg_that_is_not_supported_is_refused(tmp_path: Path, name: str):
    text, message = HOSTILE[name]
    path = tmp_path / "a.cfg"
    path.write_text(text)
    with pytest.raises(InvalidCfg, match=message):
        build_cfg_network(read_cfg(path))


def test_a_file_beyond_all_size_is_refused_without_reading_it(tmp_path: Path):
    path = tmp_path / "a.cfg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidCfg, match="larger than"):
        read_cfg(path)


FUZZED = (
    NET
    + CONV
    + "[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=8\ngroups=2\nactivation=mish\n"
    + "[shortcut]\nfrom=-2\n[upsample]\nstride=2\n[route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n"
    + "[reorg]\nstride=2\n"
    + head("logistic", "new_coords=1\nscale_x_y=2")
).splitlines()


@given(
    place=st.integers(0, len(FUZZED) - 1),
    edit=st.sampled_from(["delete", "repeat", "number", "key", "text"]),
    number=st.sampled_from([-(10**9), -7, -1, 0, 1, 2, 3, 5, 64, 65536, 10**9]),
    text=st.text(max_size=20),
)
@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_damaged_cfg_is_built_or_refused(
    tmp_path: Path, place: int, edit: str, number: int, text: str
):
    lines = list(FUZZED)
    key = lines[place].partition("=")[0]
    match edit:
        case "delete":
            del lines[place]
        case "repeat":
            lines[place:place] = FUZZED[: place + 1]
        case "number":
            lines[place] = f"{key}={number}"
        case "key":
            lines[place] = f"{text}=1"
        case _:
            lines[place] = text
    path = tmp_path / "a.cfg"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        network = build_cfg_network(read_cfg(path))
    except ScantlingError as error:
        assert "a.cfg" in str(error)  # noqa: PT017
    else:
        assert network.strides
