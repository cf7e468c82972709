"""A real network, exported once for all of these tests."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from logged import logged_lines
from scantling.checkpoints import Model, load_model
from scantling.engines import Engine, EngineSettings, open_engine
from scantling.specs.metadata import GraphForm


@pytest.fixture(scope="session")
def tiny(assets: Path) -> Model:
    """The real yolov4-tiny: few layers, so that it is soon exported."""
    return load_model(assets / "weights" / "yolov4-tiny-coco" / "yolov4-tiny.cfg")


@dataclass(frozen=True)
class Converted:
    """An engine that was given a model, where it keeps what it made of it, and what it said."""

    engine: Engine
    cache: Path
    logged: tuple[str, ...]


@pytest.fixture(scope="session")
def converted(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The real network converted on the fly: it takes seconds, so once."""
    pytest.importorskip("openvino")
    cache = tmp_path_factory.mktemp("cache")
    with logged_lines() as lines:
        engine = open_engine(tiny, EngineSettings(engine="openvino", image_size=96, cache=cache))
    return Converted(engine, cache, tuple(lines))


@pytest.fixture(scope="session")
def exported(tiny: Model, converted: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with static.onnx and .xml at 96 pixels, and others."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from scantling.engines.graphs import (
        make_metadata,
        to_onnx,
        to_openvino,
        write_onnx,
        write_openvino,
    )

    folder = tmp_path_factory.mktemp("exported")
    metadata = make_metadata(tiny, image_size=96)
    write_onnx(to_onnx(tiny, metadata), folder / "static.onnx")
    write_openvino(to_openvino(tiny, metadata), folder / "static.xml")
    found = make_metadata(tiny, form=GraphForm(gives="detections"), image_size=96)
    write_openvino(to_openvino(tiny, found), folder / "found.xml")
    raw = make_metadata(tiny, form=GraphForm(gives="raw", batch=2), image_size=96)
    write_openvino(to_openvino(tiny, raw), folder / "raw.xml")
    (any_size,) = (converted.cache / "engines").glob("*.xml")
    for suffix in (".xml", ".bin"):
        shutil.copy(any_size.with_suffix(suffix), folder / f"open{suffix}")
    return folder
