"""Every engine answers as torch does on a real network and a real photograph, in fp32."""

from pathlib import Path

import numpy as np
import pytest

from scantling.checkpoints import Model, load_model
from scantling.engines import EngineSettings, open_engine, read_metadata
from scantling.engines.hardware import find_processor
from scantling.engines.torch_engine import TorchEngine
from scantling.errors import InvalidExport, InvalidValue, MissingPackage, UnknownName
from scantling.images import read_image
from scantling.images.letterbox import resize_and_pad
from scantling.inference import load
from scantling.structures import Candidates
from small_models import write_model

pytestmark = pytest.mark.needs("openvino", "onnxruntime")

FILES = [
    ("static.onnx", "onnxruntime", 1),
    ("static.onnx", "onnxruntime", 2),
    ("static.onnx", "openvino", 1),
    ("static.xml", "openvino", 1),
    ("static.xml", "openvino", 3),
    ("raw.xml", "openvino", 2),
    ("open.xml", "openvino", 1),
    ("open.xml", "openvino", 2),
]


@pytest.fixture(scope="module")
def dog(assets: Path) -> Path:
    return next((assets / "images").rglob("dog.jpg"))


@pytest.fixture(scope="module")
def batch(dog: Path) -> np.ndarray:
    """Five images that differ, 96 × 96."""
    small, _ = resize_and_pad(read_image(dog), (96, 96))
    return np.stack([np.roll(small, 7 * shift, axis=1) for shift in range(5)])


@pytest.fixture(scope="module")
def native(tiny: Model) -> TorchEngine:
    return TorchEngine(tiny, EngineSettings(device="cpu", image_size=96))


def assert_near(got: Candidates, expected: Candidates) -> None:
    assert isinstance(got.boxes, np.ndarray)
    assert got.scores.max() > 0.01  # there is something to compare
    np.testing.assert_allclose(got.boxes, expected.boxes.numpy(), atol=2e-3)
    np.testing.assert_allclose(got.scores, expected.scores.numpy(), atol=2e-6)


@pytest.mark.parametrize(("name", "engine", "streams"), FILES)
def test_an_exported_file_answers_as_torch_does(
    exported: Path, tmp_path: Path, native: TorchEngine, batch, name, engine, streams
):
    opened = open_engine(
        exported / name,
        EngineSettings(engine=engine, streams=streams, precision="fp32", cache=tmp_path),
    )
    assert opened.name == engine
    assert opened.precision == "fp32"
    for count in (1, 2, 5):
        assert_near(opened(batch[:count]), native(batch[:count]))
    given = opened.run(batch[:3])
    assert {len(values) for values in given.values()} == {3}
    opened.close()


@pytest.mark.parametrize(("name", "engine", "streams"), FILES)
def test_a_buffer_that_is_filled_again_or_is_read_only_is_seen_as_it_is(
    exported: Path, tmp_path: Path, native: TorchEngine, batch, name, engine, streams
):
    opened = open_engine(
        exported / name,
        EngineSettings(engine=engine, streams=streams, precision="fp32", cache=tmp_path),
    )
    expected = native(batch).scores.numpy()
    buffer = opened.new_batch(1, (96, 96))
    for image in (0, 3, 1, 4):
        other = batch[2:3].copy()  # one elsewhere in between
        np.testing.assert_allclose(opened(other).scores, expected[2:3], atol=1e-4)
        buffer[:] = batch[image]
        scores = opened(buffer).scores
        np.testing.assert_allclose(scores, expected[image : image + 1], atol=1e-4)
        buffer[:] = batch[0]
        read_only = buffer.view()
        read_only.flags.writeable = False
        np.testing.assert_allclose(opened(read_only).scores, expected[:1], atol=1e-4)
    opened.close()


def test_a_model_is_converted_once_and_answers_as_torch_does(
    tiny: Model, converted, native: TorchEngine, batch, logged: list[str]
):
    assert any("converting" in line for line in converted.logged)
    assert converted.engine.image_size == (96, 96)
    assert_near(converted.engine(batch), native(batch))
    wide = np.concatenate([batch, batch], axis=2)[:2]
    assert_near(converted.engine(wide), native(wide))  # of another size as well

    again = open_engine(tiny, EngineSettings(image_size=96, cache=converted.cache))
    assert not any("converting" in line for line in logged)
    assert again.name == "openvino"  # by itself
    assert_near(again(batch), native(batch))


@pytest.mark.parametrize(("engine", "kept"), [("openvino", ".bin"), ("onnxruntime", ".onnx")])
def test_a_converted_model_that_was_damaged_is_made_again(
    tmp_path: Path, batch, engine, kept, logged: list[str]
):
    model = load_model(write_model(tmp_path / "model.safetensors"))

    def open_again() -> Candidates:
        logged.clear()
        return open_engine(model, EngineSettings(engine=engine, cache=tmp_path))(batch)

    expected = TorchEngine(model, EngineSettings(device="cpu"))(batch)
    assert_near(open_again(), expected)
    assert any("converting" in line for line in logged)
    assert_near(open_again(), expected)
    assert not any("converting" in line for line in logged)
    (damaged,) = (tmp_path / "engines").glob(f"*{kept}")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    damaged.write_bytes(data)
    assert_near(open_again(), expected)
    assert any("converting" in line for line in logged)


def test_the_real_yolov4_tiny_finds_in_openvino_what_it_finds_in_torch(
    tiny: Model, converted, dog: Path
):
    image, _ = resize_and_pad(read_image(dog), (416, 416), resize_mode=tiny.spec.input.resize_mode)
    expected = TorchEngine(tiny, EngineSettings(device="cpu"))(image[None])
    got = converted.engine(image[None])
    np.testing.assert_allclose(got.boxes, expected.boxes.numpy(), atol=5e-3)
    np.testing.assert_allclose(got.scores, expected.scores.numpy(), atol=1e-5)
    assert got.scores.max() > 0.8


def test_openvino_computes_in_bf16_only_when_asked_to(exported: Path, tmp_path: Path, batch):
    exact = open_engine(exported / "static.xml", EngineSettings(cache=tmp_path))
    assert exact.precision == "fp32"
    if not find_processor().has_bf16:
        with pytest.raises(InvalidValue, match="fp32"):
            open_engine(exported / "static.xml", EngineSettings(precision="bf16", cache=tmp_path))
        return
    near = open_engine(exported / "static.xml", EngineSettings(precision="bf16", cache=tmp_path))
    assert near.precision == "bf16"
    assert 1e-5 < np.abs(near(batch).scores - exact(batch).scores).max() < 0.1


def test_answers_outlive_those_that_follow(exported: Path, tmp_path: Path, batch):
    for name in ("static.xml", "static.onnx"):
        opened = open_engine(exported / name, EngineSettings(streams=2, cache=tmp_path))
        waiting = [opened.submit(batch[number : number + 1]) for number in range(5)]
        together = [one.result() for one in waiting]
        kept = [one.scores.copy() for one in together]
        opened(batch)
        for number, one in enumerate(together):
            np.testing.assert_array_equal(one.scores, kept[number])
            np.testing.assert_array_equal(opened(batch[number : number + 1]).scores, one.scores)


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_streams_keep_the_order(exported: Path, tmp_path, assets: Path, streams, batch_size):
    photos = sorted((assets / "images").rglob("*.jpg"))
    predictor = load(exported / "static.xml", streams=streams, cache=tmp_path)
    alone = load(exported / "static.xml", cache=tmp_path)
    found = list(predictor.stream(photos * 2, batch_size=batch_size))
    assert [one.frame.name for one in found] == [str(photo) for photo in photos] * 2
    for one, photo in zip(found, photos * 2, strict=True):
        assert one.detections is not None
        np.testing.assert_array_equal(one.detections.boxes, alone(read_image(photo)).boxes)
        assert one.seconds.network > 0


class Counting:
    """An engine that counts how many batches are on their way at once."""

    name, precision, description = "counting", "fp32", "counting"
    image_size, size_divisor = (64, 64), None
    whole_images = in_background = False

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self.now = self.most = 0

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> np.ndarray:
        return np.zeros((images, *(image_size or self.image_size), 3), np.uint8)

    def submit(self, images: np.ndarray) -> "Later":
        self.now += 1
        self.most = max(self.most, self.now)
        return Later(self, int(images[0, 0, 0, 0]))


class Later:
    def __init__(self, engine: Counting, number: int) -> None:
        self.engine, self.number = engine, number

    def result(self) -> Candidates:
        self.engine.now -= 1
        boxes = np.array([[[0, 0, 8 + self.number, 8]]], np.float32)
        return Candidates(boxes, np.ones((1, 1, 1), np.float32))


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_no_more_batches_are_on_their_way_than_there_are_streams(streams: int):
    from scantling.inference.predictor import Predictor
    from scantling.specs import InputSpec

    engine = Counting(streams)
    predictor = Predictor(engine, ("a",), input_spec=InputSpec())
    images = [np.full((64, 64, 3), number, np.uint8) for number in range(9)]
    found = [one.detections for one in predictor.stream(images)]
    assert [int(one.boxes[0, 2]) for one in found if one is not None] == list(range(8, 17))
    assert engine.most == streams
    assert engine.now == 0


def test_a_file_brings_its_names_and_thresholds(exported: Path, tmp_path: Path, dog: Path):
    metadata = read_metadata(exported / "static.xml")
    predictor = load(exported / "static.xml", cache=tmp_path)
    assert predictor.names == metadata.names
    assert predictor.selection.min_score == metadata.min_score
    assert predictor.engine.image_size == (96, 96)
    assert isinstance(predictor(dog).boxes, np.ndarray)


def test_a_file_with_nms_inside_says_what_it_cannot_do(
    exported: Path, dog: Path, logged: list[str]
):
    from scantling.postprocess import Selection

    floor = Selection(min_score=0.001, iou_threshold=0.6, max_detections=500)
    load(exported / "found.xml", selection=floor)
    assert sum(line.startswith("WARNING") for line in logged) == 3
    whole = load(exported / "static.xml")(dog)
    inside = load(exported / "found.xml")(dog)
    np.testing.assert_allclose(inside.boxes, whole.boxes, atol=1e-2)
    np.testing.assert_array_equal(inside.labels, whole.labels)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weights": "w.weights"}, InvalidValue, "brings its own"),
        ({"names": "n.names"}, InvalidValue, "brings its own"),
        ({"image_size": 416}, InvalidValue, r"\(96, 96\)"),
        ({"engine": "torch"}, InvalidValue, "openvino"),
        ({"engine": "opnvino"}, UnknownName, "Did you mean 'openvino'"),
        ({"streams": 0}, InvalidValue, "streams"),
        ({"threads": 0}, InvalidValue, "threads"),
        ({"device": "cuda"}, InvalidValue, "processor"),
        ({"device": "gpu"}, InvalidValue, "device"),
        ({"precision": "int4"}, InvalidValue, "precision"),
    ],
)
def test_settings_that_contradict_a_file_are_refused(exported: Path, settings, error, message):
    with pytest.raises(error, match=message):
        load(exported / "static.xml", **settings)


def test_metadata_of_another_graph_is_refused(exported: Path, tmp_path: Path):
    text = (exported / "static.xml").read_text("utf-8")
    for old, new, message in (
        ('names="images"', 'names="pixels"', "takes pixels"),
        ("&quot;gives&quot;:&quot;candidates&quot;", "&quot;gives&quot;:&quot;raw&quot;", "raw0"),
        ("&quot;image_size&quot;:[96,96]", "&quot;image_size&quot;:[64,96]", "64"),
        ("&quot;batch&quot;:1", "&quot;batch&quot;:4", "4"),
    ):
        assert old in text, old
        path = tmp_path / "other.xml"
        path.write_text(text.replace(old, new), "utf-8")
        path.with_suffix(".bin").write_bytes((exported / "static.bin").read_bytes())
        with pytest.raises(InvalidExport, match=message):
            open_engine(path)


@pytest.mark.gpu
def test_tensorrt_runs_a_plan(exported: Path):
    pytest.importorskip("tensorrt")
    with pytest.raises((InvalidExport, MissingPackage, InvalidValue)):
        open_engine(exported / "missing.engine")
