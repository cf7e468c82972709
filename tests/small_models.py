"""Models so small that every engine has them ready at once, for the tests of what runs models."""

from pathlib import Path

import torch
import yaml

from labelled import write_picture
from scantling.checkpoints import Model
from scantling.checkpoints.native import save_model
from scantling.darknet import build_cfg_network, read_cfg

LAYER = (
    "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
)
CFG = (
    "[net]\nwidth=64\nheight=64\nchannels=3\n"
    + "{layers}"
    + "[convolutional]\nfilters=21\nsize=1\nstride=1\npad=1\nactivation=linear\n"
    + "[yolo]\nmask=0,1,2\nanchors=8,8, 16,16, 32,32\nclasses=2\nnum=3\n"
)


def write_cfg(path: Path, filters: int = 8) -> Path:
    """A darknet `.cfg` of three layers and one scale, 64×64, for two classes."""
    path.write_text(CFG.format(layers=LAYER.format(filters) * 3))
    return path


def write_model(path: Path, filters: int = 8) -> Path:
    """A checkpoint of such a network, with fresh weights; it knows cats and dogs."""
    spec = read_cfg(write_cfg(path.with_suffix(".cfg"), filters))
    torch.manual_seed(0)
    network = build_cfg_network(spec).eval()
    save_model(Model(spec, network, ("cat", "dog")), path)
    return path


def write_data(folder: Path, images: int = 2) -> Path:
    """A YOLO data set of a cat an image."""
    for number in range(images):
        write_picture(folder / "images" / f"{number}.jpg", (80, 120), grey=60 + 20 * number)
        labels = folder / "labels" / f"{number}.txt"
        labels.parent.mkdir(exist_ok=True)
        labels.write_text("0 0.5 0.5 0.4 0.4\n")
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({"path": str(folder), "val": "images", "names": ["cat", "dog"]}))
    return path
