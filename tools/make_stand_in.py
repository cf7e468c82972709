"""Train and draw what stands in for real weights and photographs in the tests.

python tools/make_stand_in.py    # tests/data/stand_in, anew; some minutes on two cores
"""

import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import yaml

from scantling.checkpoints import create_model, load_model, save_model
from scantling.darknet.native import native_tensors
from scantling.demo.recipe import make_settings
from scantling.demo.scenes import NAMES, draw_dataset, draw_scene
from scantling.reports.drawing import encode_image
from scantling.specs import ModelSpec, find_spec
from scantling.specs.classes import COCO_NAMES
from scantling.training import EpochDone, open_run

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data" / "stand_in"
LABELS = (0, 1, 2, 14, 16, 7, 17)  # of COCO, of the shapes in the order of the demo
NARROWER = 4  # times the channels are those of yolov4-tiny
IMAGES, EPOCHS = 640, 14
# What is in each drawing, in the demo's shapes; the names are those of the real photographs.
PHOTOS = {
    "bus": {"disc", "square"},
    "dog": {"star", "ring", "cross"},
    "eagle": {"triangle"},
    "giraffe": {"square", "moon"},
    "horses": {"moon", "triangle"},
    "person": {"disc", "star"},
    "scream": {"disc", "ring"},
}
PHOTO_SIZE = (288, 384)  # height, width


def thin_tiny() -> ModelSpec:
    """yolov4-tiny with a quarter of its channels."""
    spec = find_spec("yolov4-tiny")
    stages = tuple(
        stage.replace(channels=stage.channels // NARROWER) for stage in spec.backbone.stages
    )
    stem = spec.backbone.stem_channels // NARROWER
    return spec.replace(
        name="thin",
        image_size=(192, 256),
        backbone=spec.backbone.replace(stem_channels=stem, stages=stages),
        neck=spec.neck.replace(channels=tuple(one // NARROWER for one in spec.neck.channels)),
    )


def train(home: Path) -> Path:
    """The trained model, in a folder of its own."""
    draw_dataset(home / "data", images={"train": IMAGES, "val": 40}, seed=5)
    for file in (home / "data").rglob("*.txt"):
        rows = [row.split(maxsplit=1) for row in file.read_text().splitlines()]
        file.write_text("".join(f"{LABELS[int(label)]} {rest}\n" for label, rest in rows))
    data = home / "data" / "data.yaml"
    told = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**told, "nc": len(COCO_NAMES), "names": list(COCO_NAMES)}))
    torch.manual_seed(0)
    save_model(create_model(thin_tiny(), names=COCO_NAMES), home / "start.safetensors")
    settings = make_settings(EPOCHS, 0) | {"precision": "fp32", "anchors": {"fit": "never"}}
    run = open_run(
        home / "start.safetensors",
        data,
        recipe="scaled-yolov4",
        settings=settings,
        device="cpu",
        out=home / "run",
        cache=home / "cache",
    )
    for event in run.events():
        if isinstance(event, EpochDone):
            print(event.row["epoch"], event.evaluation and event.evaluation.stats["AP50"])
    return run.folder.best


def write_weights(model: Path) -> None:
    """Half-precision arrays in the order of darknet's `.weights`."""
    loaded = load_model(model)
    spec = loaded.spec.replace(
        backbone=find_spec("yolov4-tiny").backbone, neck=find_spec("yolov4-tiny").neck
    )
    tensors = native_tensors(loaded.network, spec)
    arrays = {f"{place:03d}": tensor.detach().numpy() for place, tensor in enumerate(tensors)}
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    np.savez_compressed(FOLDER / "thin.npz", **halves)


def draw_photos() -> None:
    """Drawings that it has not learned from: for each the first with those shapes and no other."""
    for name, wanted in PHOTOS.items():
        for seed in count():
            scene = draw_scene(np.random.default_rng((7, seed)), image_size=PHOTO_SIZE)
            if {NAMES[label] for label in scene.labels} == wanted and len(scene.labels) < 4:
                break
        (FOLDER / f"{name}.jpg").write_bytes(encode_image(scene.image, quality=85))
        print(name, seed, [NAMES[label] for label in scene.labels])


def main() -> int:
    """Make all of it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        write_weights(train(Path(folder)))
    draw_photos()
    return 0


if __name__ == "__main__":
    sys.exit(main())
