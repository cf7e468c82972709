"""Exported files, and what the models they are from find, for a board that has no torch.

Run `python tests/board/make_files.py FOLDER` where torch is installed; `tests/board` then runs with
SCANTLING_BOARD_FILES=FOLDER where it is not.
"""

import json
import os
import sys
from pathlib import Path

import cv2

from scantling.checkpoints import Model, load_model
from scantling.engines import EngineSettings
from scantling.engines.graphs import make_metadata, to_onnx, to_openvino, write_onnx, write_openvino
from scantling.engines.torch_engine import TorchEngine
from scantling.evaluation import choose_protocol, evaluate, selection_for
from scantling.inference.predictor import Predictor
from scantling.postprocess import Selection
from scantling.specs.metadata import GraphForm

ROOT = Path(__file__).parents[2]
IMAGES, MIN_SCORE = 6, 0.25
FORMS = {
    "candidates.xml": GraphForm(),
    "raw.onnx": GraphForm(gives="raw"),
    "detections.xml": GraphForm(gives="detections"),
}


def find_assets() -> Path:
    return Path(os.environ.get("SCANTLING_ASSETS", ROOT.parent / "shared" / "assets"))


def make_files(assets: Path, folder: Path) -> None:
    """Write the exported files, a small data set of real photographs, and what is in them."""
    model = load_model(assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg")
    for name, form in FORMS.items():
        metadata = make_metadata(
            model, form=form, source="yolo-fastest-1.1.cfg", min_score=MIN_SCORE
        )
        if name.endswith(".onnx"):
            write_onnx(to_onnx(model, metadata), folder / name)
        else:
            write_openvino(to_openvino(model, metadata), folder / name)
    write_data(assets / "datasets" / "coco-val2017-first128", folder / "data", model.names)
    write_expected(model, folder)


def write_data(source: Path, folder: Path, names: tuple[str, ...]) -> None:
    """A few images with their labels, in YOLO's layout."""
    for kind in ("images", "labels"):
        (folder / kind / "val").mkdir(parents=True, exist_ok=True)
    labels = sorted(source.rglob("*.txt"))
    for label in [file for file in labels if file.stem.isdigit() and file.stat().st_size][:IMAGES]:
        (image,) = source.rglob(f"{label.stem}.jpg")
        (folder / "images" / "val" / image.name).write_bytes(image.read_bytes())
        (folder / "labels" / "val" / label.name).write_bytes(label.read_bytes())
    listed = "\n".join(f"  {number}: {json.dumps(name)}" for number, name in enumerate(names))
    text = f"path: .\ntrain: images/val\nval: images/val\nnames:\n{listed}\n"
    (folder / "data.yaml").write_text(text)


def write_expected(model: Model, folder: Path) -> None:
    """What the model itself finds, and one large photograph."""
    photos = sorted((folder / "data" / "images" / "val").iterdir())
    predictor = load(model, Selection(min_score=MIN_SCORE))
    found = {photo.name: predictor(photo).to_dict()["detections"] for photo in photos}
    judged = evaluate(
        load(model, selection_for(choose_protocol("coco"))), folder / "data" / "data.yaml"
    )
    expected = {"images": found, "AP": judged.stats["AP"]}
    (folder / "expected.json").write_text(json.dumps(expected))
    large = cv2.resize(cv2.imread(str(photos[0])), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "large.jpg"), large)


def load(model: Model, selection: Selection) -> Predictor:
    """The model on torch, as exact as it can be."""
    engine = TorchEngine(model, EngineSettings(device="cpu"))
    return Predictor(engine, model.names, input_spec=model.spec.input, selection=selection)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    make_files(find_assets(), target)
