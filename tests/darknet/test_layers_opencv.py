"""Each kind of layer against OpenCV, and where OpenCV is no judge."""

from collections.abc import Callable
from pathlib import Path

import cv2
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

from scantling.darknet import DarknetNetwork
from scantling.errors import InvalidCfg

Build = Callable[..., DarknetNetwork]


def conv(filters: int, size: int = 3, *, act: str = "leaky", norm: int = 1, more: str = "") -> str:
    return (
        f"[convolutional]\nbatch_normalize={norm}\nfilters={filters}\nsize={size}\nstride=1\n"
        f"pad=1\nactivation={act}\n{more}\n"
    )


# What OpenCV has too.
SHARED = {
    "convolution, kernel 5": conv(8, 5),
    "convolution, even kernel": conv(8, 2, more="stride=1") + conv(8),
    "convolution, padding given": conv(8).replace("pad=1", "padding=2"),
    "convolution, no padding": conv(8).replace("pad=1", "pad=0"),
    "convolution, groups": conv(8) + conv(16, more="groups=4"),
    "maxpool 2/2": conv(8) + "[maxpool]\nsize=2\nstride=2\n",
    "maxpool 2/1": conv(8) + "[maxpool]\nsize=2\nstride=1\n",
    "maxpool 3/2": conv(8) + "[maxpool]\nsize=3\nstride=2\n",
    "maxpool 4/1": conv(8) + "[maxpool]\nsize=4\nstride=1\n",
    "maxpool 5/1": conv(8) + "[maxpool]\nsize=5\nstride=1\n",
    "maxpool 4/4": conv(8) + "[maxpool]\nsize=4\nstride=4\n",
    "maxpool, padding given": conv(8) + "[maxpool]\nsize=3\nstride=1\npadding=1\n",
    "route, absolute": conv(8) + conv(16) + "[route]\nlayers=-1,0\n",
    "route, half": conv(8) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n",
    "route, alias": conv(8) + conv(4) + "[route]\nlayers=-2\n[route]\nlayers=-1,-2\n",
    "shortcut": conv(8) + conv(8) + "[shortcut]\nfrom=-2\nactivation=mish\n",
    "shortcut, narrower": conv(4) + conv(8) + "[shortcut]\nfrom=-2\nactivation=linear\n",
    "shortcut, wider": conv(16) + conv(8) + "[shortcut]\nfrom=-2\nactivation=leaky\n",
    "sam": conv(8) + conv(8, 1, act="logistic") + "[sam]\nfrom=-2\nactivation=leaky\n",
    "scale_channels": conv(8)
    + "[avgpool]\n"
    + conv(8, 1, act="logistic", norm=0)
    + "[scale_channels]\nfrom=-3\n",
    "upsample": conv(8) + "[maxpool]\nsize=4\nstride=4\n[upsample]\nstride=4\n",
    "reorg": conv(8) + "[reorg]\nstride=2\n",
    "reorg by 4": conv(32) + "[reorg]\nstride=4\n",
    "dropout": conv(8) + "[dropout]\nprobability=.5\n",
    **{
        f"activation {name}": conv(8, act=name)
        for name in ("linear", "logistic", "mish", "relu", "swish", "tanh")
    },
}


@pytest.mark.parametrize("name", SHARED)
def test_every_layer_that_opencv_has_gives_its_output(build: Build, tmp_path: Path, name: str):
    network = build(SHARED[name])
    batch = images(2, 32)
    randomise(network, batch)
    use_opencv_epsilon(network)
    cfg = (tmp_path / "small.cfg").read_text()
    theirs = opencv_boxes(name, cfg, network, batch[:1].numpy(), tmp_path)
    for ours, reference in zip(our_boxes(network, batch[:1].numpy()), theirs, strict=True):
        assert relative_difference(ours, reference) < 1e-5


# Where OpenCV departs from darknet, so that it is no judge; each has a test of its own below.
DEPARTS = {
    "unknown to it: aliases of sections": "[conv]\nfilters=8\nactivation=leaky\n",
    "unknown to it: local_avgpool": "[local_avgpool]\nsize=2\nstride=2\n",
    "unknown to it: reorg3d": "[reorg3d]\nstride=2\n",
    "unknown to it: activation elu": conv(8, act="elu"),
    "unknown to it: activation relu6": conv(8, act="relu6"),
    "unknown to it: a spatial mask in scale_channels": conv(8)
    + conv(1, 1, act="logistic", norm=0)
    + "[scale_channels]\nfrom=-2\nscale_wh=1\n",
    "fails on it: slices of several sources": conv(8)
    + conv(4)
    + "[route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n",
    "ignored: dilation": conv(8, more="dilation=2"),
    "ignored: share_index": conv(8) + conv(8) + conv(8, more="share_index=-1"),
    "ignored: stride_x, stride_y": conv(8, more="stride_x=2\nstride_y=2"),
    "ignored: maxpool_depth": conv(8) + "[maxpool]\nmaxpool_depth=1\nout_channels=4\n",
    "ignored: scale of upsample": "[maxpool]\nsize=2\nstride=2\n[upsample]\nscale=.5\n",
    "ignored: all but the first source of a shortcut": conv(8)
    + conv(8)
    + conv(8)
    + "[shortcut]\nfrom=-2,-3\nactivation=linear\n",
    "ignored: weights of a shortcut": conv(8)
    + conv(8)
    + "[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_channel\n",
    "linear instead of logistic: a convolution without activation": "[convolutional]\nfilters=8\n",
}


@pytest.mark.parametrize("name", DEPARTS)
def test_opencv_is_no_judge_where_it_departs_from_darknet(build: Build, tmp_path: Path, name: str):
    network = build(DEPARTS[name])
    batch = images(2, 32)
    randomise(network, batch)
    use_opencv_epsilon(network)
    cfg = (tmp_path / "small.cfg").read_text()
    blob = batch[:1].numpy()
    try:
        (theirs, *_) = opencv_boxes(name, cfg, network, blob, tmp_path, same=False)
    except cv2.error:
        return
    ours = our_boxes(network, blob)[0]
    if len(ours) == theirs.count:
        values = np.delete(theirs.values, 4, axis=1)  # objectness, which we do not tell apart
        assert not np.allclose(ours[theirs.place], values, rtol=1e-2, atol=1e-3)


def test_silu_is_swish_of_torch_and_of_opencv(build: Build, tmp_path: Path):
    network = build(conv(8, act="silu") + "[activation]\nactivation=silu\n" + conv(8, act="silu"))
    assert isinstance(network.layers[0].activation, torch.nn.SiLU)
    assert isinstance(network.layers[1].activation, torch.nn.SiLU)
    network = build(conv(8, act="silu") + conv(8, act="silu"))
    batch = images(2, 32)
    randomise(network, batch)
    use_opencv_epsilon(network)
    cfg = (tmp_path / "small.cfg").read_text().replace("silu", "swish")
    theirs = opencv_boxes("silu", cfg, network, batch[:1].numpy(), tmp_path)
    for ours, reference in zip(our_boxes(network, batch[:1].numpy()), theirs, strict=True):
        assert relative_difference(ours, reference) < 1e-5


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("Leaky", "Did you mean 'leaky'?"),
        ("leaky_relu", "leaky_relu is called leaky here."),
        ("sigmoid", "sigmoid is called logistic here."),
        ("SiLU", "SiLU is called swish here."),
    ],
)
def test_an_activation_by_another_name_is_told_darknets(build: Build, given: str, advice: str):
    with pytest.raises(InvalidCfg) as error:
        build(conv(8, act=given))
    assert advice in str(error.value)


@pytest.mark.parametrize("given", ["hard_swish", "hswish", "prelu", "celu", "relu7"])
def test_an_activation_that_is_not_offered_is_never_told_as_a_like_one(build: Build, given: str):
    with pytest.raises(InvalidCfg) as error:
        build(conv(8, act=given))
    assert "Did you mean" not in str(error.value)
    assert "is called" not in str(error.value)
