"""One image is not worth a conversion; what was converted once opens without torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scantling.cli.predict import is_one_image
from scantling.engines import EngineSettings
from scantling.engines.known import open_known
from scantling.inference import Predictor, load
from scantling.inference.loading import open_predictor
from small_models import write_cfg, write_model

pytestmark = pytest.mark.needs("openvino")
IMAGE = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
ALL = {"min_score": 0.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def cache(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model was converted once, as it was asked for."""
    folder = tmp_path_factory.mktemp("cache")
    load(model, engine="openvino", cache=folder).close()
    return folder


def opened(model: Path, cache: Path, **settings: object) -> Predictor:
    chosen = EngineSettings(convert=False, cache=cache, **settings)  # type: ignore[arg-type]
    return open_predictor(model, chosen, selection=ALL)


@pytest.mark.parametrize("engines", [[], ["other.xml"]])
def test_one_image_is_left_to_torch_where_nothing_was_converted(
    engines: list[str], model: Path, tmp_path: Path, logged: list[str]
):
    for name in engines:  # of another model
        (tmp_path / "engines").mkdir()
        (tmp_path / "engines" / name).touch()
    with opened(model, tmp_path) as predictor:
        assert predictor.engine.name == "torch"
    assert "sooner done than a conversion for openvino" in logged[-1]


def test_what_was_converted_is_opened_without_the_model(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    with load(model, engine="torch", selection=ALL) as predictor:
        expected = predictor(IMAGE)
    monkeypatch.setattr("scantling.checkpoints.load.load_native", None)
    for engine in ("auto", "openvino"):
        with opened(model, cache, engine=engine) as predictor:
            assert predictor.engine.name == "openvino"
            found = predictor(IMAGE)
        assert found.names == expected.names
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


def test_torch_is_not_imported_for_it(model: Path, cache: Path):
    check = (
        "import sys; sys.modules['torch'] = None\n"
        "from scantling.inference import load\n"
        f"print(load({str(model)!r}, cache={str(cache)!r}).engine.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout == "openvino\n", done.stderr


def test_another_file_another_size_or_names_are_another_model(
    model: Path, cache: Path, tmp_path: Path
):
    settings = EngineSettings(engine="openvino", cache=cache)
    known = open_known([model], settings)
    assert known is not None
    known.close()
    other = write_model(tmp_path / "small.safetensors", filters=9)
    names = tmp_path / "two.names"
    names.write_text("one\ntwo\n")
    for files, more in (([other], {}), ([model, names], {}), ([model], {"image_size": 96})):
        assert open_known(files, EngineSettings(engine="openvino", cache=cache, **more)) is None
    assert open_known([model], EngineSettings(engine="torch", cache=cache)) is None


def test_a_converted_file_that_was_damaged_is_not_known(model: Path, tmp_path: Path):
    load(model, engine="openvino", cache=tmp_path).close()
    settings = EngineSettings(engine="openvino", cache=tmp_path)
    for path in (tmp_path / "engines").glob("*.bin"):
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    assert open_known([model], settings) is None


@pytest.mark.parametrize(
    ("sources", "one"),
    [
        (["photo.jpg"], True),
        (["https://a.b/photo.PNG"], True),
        (["photo.jpg", "photo.jpg"], False),
        (["*.jpg"], False),
        (["road.mp4"], False),
        (["rtsp://camera"], False),
        (["0"], False),
        (["list.txt"], False),
        (["-"], False),
    ],
)
def test_what_counts_as_one_image(sources: list[str], one: bool):
    assert is_one_image(sources) == one


def test_a_folder_called_like_an_image_is_many(tmp_path: Path):
    (tmp_path / "a.jpg").mkdir()
    assert not is_one_image([str(tmp_path / "a.jpg")])


def test_a_cfg_is_known_by_its_weights_and_names_too(tmp_path: Path):
    from scantling.checkpoints.files import list_model_files

    cfg = write_cfg(tmp_path / "small.cfg")
    assert list_model_files(cfg, cache=tmp_path) is None  # no weights
    weights = cfg.with_suffix(".weights")
    weights.touch()
    assert list_model_files(cfg, cache=tmp_path) == [cfg, weights]
    cfg.with_suffix(".names").touch()
    assert list_model_files(cfg, cache=tmp_path) == [cfg, weights, cfg.with_suffix(".names")]
    named = tmp_path / "mine.names"
    named.touch()
    assert list_model_files(cfg, names=named, cache=tmp_path) == [cfg, weights, named]
    assert list_model_files(cfg, names="mine.data", cache=tmp_path) is None
    assert list_model_files("yolov4-tiny", cache=tmp_path) is None
    (tmp_path / "yolov4-tiny.weights").touch()
    found = list_model_files("yolov4-tiny", cache=tmp_path)
    assert found == [tmp_path / "yolov4-tiny.weights"]
