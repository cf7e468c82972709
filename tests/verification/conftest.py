"""Right models and files, made once: real, fresh and small."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from injections import export_onnx, spread

from scantling.checkpoints import Model, create_model, load_model
from scantling.darknet import build_cfg_network, read_cfg
from scantling.specs import CATALOG
from scantling.specs.metadata import GraphForm

SIZE = 256  # of the input: faults do not depend on it


@dataclass(frozen=True)
class Right:
    """A model, and a right file of it."""

    model: Model
    file: Path


@pytest.fixture(scope="session")
def tiny(assets: Path) -> Model:
    """The real yolov4-tiny."""
    folder = assets / "weights" / "yolov4-tiny-coco"
    return load_model(folder / "yolov4-tiny.cfg", names=folder / "coco.names")


@pytest.fixture(scope="session")
def yolo(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Right:
    """The real yolov4-tiny as ONNX, which gives candidates."""
    file = tmp_path_factory.mktemp("yolo") / "yolo.onnx"
    return Right(tiny, export_onnx(tiny, file, image_size=SIZE))


@pytest.fixture(scope="session")
def yolo_raw(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Right:
    """The real yolov4-tiny as ONNX, which gives raw predictions."""
    file = tmp_path_factory.mktemp("raw") / "raw.onnx"
    return Right(tiny, export_onnx(tiny, file, image_size=SIZE, form=GraphForm(gives="raw")))


LAYER = (
    "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n"
)
CFG = (
    "[net]\nwidth=128\nheight=128\nchannels=3\n"
    + "".join(LAYER.format(*sizes) for sizes in ((16, 2), (24, 2), (32, 1), (48, 2), (48, 1)))
    + "[convolutional]\nfilters=33\nsize=1\nstride=1\npad=1\nactivation=linear\n"
    + "[yolo]\nmask=0,1,2\nanchors=10,14, 23,19, 37,58\nclasses=6\nnum=3\nscale_x_y=1.05\n"
)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A network of six layers, which is exported at once, and letterboxes."""
    path = tmp_path_factory.mktemp("small") / "small.cfg"
    path.write_text(CFG)
    torch.manual_seed(0)
    spec = read_cfg(path)
    spec = spec.replace(input=spec.input.replace(resize_mode="letterbox"))
    network = build_cfg_network(spec).eval()
    return spread(Model(spec, network, tuple(f"thing{label}" for label in range(6))))


@pytest.fixture(scope="session")
def efficientdet(tmp_path_factory: pytest.TempPathFactory) -> Right:
    """A fresh and thin EfficientDet-D0 of twelve classes as ONNX."""
    spec = CATALOG["efficientdet-d0"]
    stages = tuple(
        one.replace(channels=min(one.channels, 40), depth=1) for one in spec.backbone.stages
    )
    spec = spec.replace(
        num_classes=12,
        image_size=128,
        backbone=spec.backbone.replace(stages=stages),
        neck=spec.neck.replace(depth=1),
        head=spec.head.replace(depth=1),
    )
    torch.manual_seed(0)
    model = spread(create_model(spec))
    return Right(model, export_onnx(model, tmp_path_factory.mktemp("eff") / "eff.onnx"))
