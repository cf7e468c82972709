"""Images, folders, videos → predictions: in order, lazily, in bounded memory, no thread left."""

import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

import scantling
from scantling.engines import Ready
from scantling.errors import InvalidSource, InvalidSpec, InvalidValue, ScantlingError
from scantling.inference import Predictor, load, predict
from scantling.specs import InputSpec
from scantling.specs.classes import COCO_ID_NAMES
from scantling.structures import Candidates


@pytest.fixture(scope="module")
def cfg(assets: Path) -> Path:
    return assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg"


@pytest.fixture(scope="module")
def predictor(cfg: Path) -> Predictor:
    """A small real network."""
    return load(cfg, device="cpu")


@pytest.fixture(scope="module")
def photos(assets: Path) -> list[Path]:
    return sorted((assets / "images").rglob("*.jpg"))


def threads() -> int:
    """Ours that are alive, after those that are ending had a moment."""
    for _ in range(5000):
        ours = [one for one in threading.enumerate() if one.name.startswith("scantling")]
        if not ours:
            return 0
        time.sleep(0.02)
    return len(ours)


def test_a_path_and_an_array_give_the_same(predictor: Predictor, photos: list[Path]):
    by_path = predictor(photos[0])
    by_array = predictor(cv2.imread(str(photos[0]))[..., ::-1])
    assert len(by_path) > 0
    assert np.array_equal(by_path.boxes, by_array.boxes)
    assert by_path.source == str(photos[0])
    assert by_path.image_size == cv2.imread(str(photos[0])).shape[:2]


def test_an_image_that_cannot_be_read_is_an_error_by_itself(predictor: Predictor, tmp_path: Path):
    with pytest.raises(InvalidSource, match=r"none\.jpg"):
        predictor(tmp_path / "none.jpg")


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_stream_gives_what_each_image_gives_alone(
    predictor: Predictor, photos: list[Path], batch_size: int
):
    for path, prediction in zip(
        photos, predictor.stream(photos, batch_size=batch_size), strict=True
    ):
        alone = predictor(path)
        assert prediction.frame.name == str(path)
        assert prediction.detections.source == str(path)
        assert np.array_equal(prediction.detections.labels, alone.labels)
        np.testing.assert_allclose(prediction.detections.boxes, alone.boxes, atol=0.1)
        np.testing.assert_allclose(prediction.detections.scores, alone.scores, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bad_images_are_reported_in_order_and_the_rest_goes_on(
    predictor: Predictor, photos: list[Path], tmp_path: Path, batch_size: int
):
    for name, photo in zip(("b.jpg", "e.jpg"), photos[:2], strict=True):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "c.jpg").write_text("no image")
    (tmp_path / "d.jpg").write_bytes(photos[0].read_bytes()[:5000])

    results = list(predictor.stream(tmp_path, batch_size=batch_size))

    assert [Path(one.frame.name).name for one in results] == [f"{name}.jpg" for name in "abcde"]
    assert [one.detections is None for one in results] == [True, False, True, True, False]
    assert all((one.frame.problem is None) == (one.detections is not None) for one in results)


@pytest.mark.usefixtures("real_assets")
def test_frames_of_a_video_come_in_order(predictor: Predictor, assets: Path):
    results = list(predict(predictor, assets / "video" / "road.mp4", batch_size=4))
    assert [one.frame.index for one in results] == list(range(38))
    assert sum("car" in one.detections.class_names for one in results) > 30


def test_the_reader_runs_ahead_but_not_far(predictor: Predictor):
    made = 0

    def images() -> Iterator[np.ndarray]:
        nonlocal made
        for _ in range(500):
            made += 1
            yield np.zeros((32, 32, 3), np.uint8)

    with closing(predictor.stream(images(), batch_size=2)) as stream:
        next(stream)
        deadline = time.monotonic() + 300
        while made < 5 and time.monotonic() < deadline:
            time.sleep(0.01)  # nobody asks for more meanwhile
        time.sleep(0.3)
        assert 5 <= made < 30


def test_memory_does_not_grow_with_the_number_of_images(predictor: Predictor):
    alive = 0
    most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def images() -> Iterator[np.ndarray]:
        nonlocal alive, most
        for _ in range(150):
            one = np.zeros((32, 32, 3), np.uint8)
            weakref.finalize(one, gone)
            alive += 1
            most = max(most, alive)
            yield one

    assert sum(1 for _ in predictor.stream(images(), batch_size=2)) == 150
    assert most < 30


def test_a_stream_that_is_left_early_leaves_no_thread(predictor: Predictor, assets: Path):
    with closing(predictor.stream(assets / "video" / "road.mp4", batch_size=2)) as stream:
        next(stream)
    assert threads() == 0


def test_a_stream_that_is_interrupted_leaves_no_thread(predictor: Predictor, photos: list[Path]):
    def interrupted() -> None:
        with closing(predictor.stream(photos)) as stream:
            for _ in stream:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threads() == 0


def test_leaving_does_not_wait_for_a_source_that_is_silent(predictor: Predictor):
    release = threading.Event()

    def images() -> Iterator[np.ndarray]:
        yield np.zeros((32, 32, 3), np.uint8)
        release.wait()

    with closing(predictor.stream(images())) as stream:
        next(stream)
    assert not release.is_set()  # and here we are
    release.set()
    assert threads() == 0


def test_an_error_of_the_source_reaches_the_caller(predictor: Predictor):
    def images() -> Iterator[np.ndarray]:
        yield np.zeros((32, 32, 3), np.uint8)
        raise ZeroDivisionError("in the user's own generator")

    stream = predictor.stream(images())
    next(stream)
    with pytest.raises(ZeroDivisionError, match="own generator"):
        next(stream)
    assert threads() == 0


@pytest.mark.usefixtures("real_assets")
def test_boxes_are_cut_off_at_the_edge_unless_told(cfg: Path, assets: Path):
    image = assets / "images" / "darknet" / "giraffe.jpg"
    free = load(cfg, device="cpu", clip=False)(image)
    clipped = load(cfg, device="cpu")(image)
    height, width = free.image_size
    assert ((free.boxes < 0) | (free.boxes > max(height, width))).any()
    assert np.array_equal(clipped.boxes, np.clip(free.boxes, 0, [width, height, width, height]))


def test_letterboxing_and_stretching_differ_but_find_the_same(cfg: Path, assets: Path):
    image = assets / "images" / "darknet" / "eagle.jpg"
    found = [load(cfg, device="cpu", resize_mode=fit)(image) for fit in ("letterbox", "stretch")]
    assert found[0].class_names[0] == found[1].class_names[0] == "bird"
    assert not np.array_equal(found[0].boxes, found[1].boxes)


def test_a_rectangular_input_is_possible(cfg: Path, assets: Path):
    wide = load(cfg, device="cpu", image_size=(256, 416))
    assert "dog" in wide(assets / "images" / "darknet" / "dog.jpg").class_names


def test_the_selection_decides_what_is_kept(cfg: Path, photos: list[Path]):
    strict = load(cfg, device="cpu", selection=scantling.Selection(min_score=0.5, max_detections=1))
    found = [strict(photo) for photo in photos]
    assert max(map(len, found)) == 1
    assert all((one.scores > 0.5).all() for one in found)


def test_the_time_of_every_stage_is_told(predictor: Predictor, photos: list[Path]):
    (one,) = predictor.stream(photos[0])
    assert one.seconds.network > 0.0005
    assert min(one.seconds.read, one.seconds.preprocess, one.seconds.postprocess) > 0


def test_settings_that_make_no_sense_are_refused(cfg: Path, predictor: Predictor):
    with pytest.raises(InvalidSpec, match="Use 320"):
        load(cfg, image_size=330)
    with pytest.raises(InvalidValue, match="batch_size"):
        next(predictor.stream("x.jpg", batch_size=0))
    for setting, value in (("resize_mode", "strech"), ("device", "gpu"), ("precision", "fp6")):
        with pytest.raises(ScantlingError, match=setting):
            load("yolov4-tiny", **{setting: value})  # and nothing is downloaded for it


def test_a_model_may_be_named_where_it_is_used(cfg: Path, photos: list[Path]):
    (one,) = scantling.predict(cfg, photos[0])
    assert len(one.detections) > 0


def test_the_function_predict_is_not_hidden_by_its_module():
    import scantling.inference

    assert scantling.inference.predict is predict
    assert scantling.predict is predict
    assert scantling.load is load


def test_every_public_name_is_there():
    assert all(getattr(scantling, name) is not None for name in scantling.__all__)
    assert set(scantling.__all__) <= set(dir(scantling))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scantling.nonsense


class Engine:
    """Finds the same box in every image."""

    image_size = (64, 64)
    size_divisor = None
    whole_images = False
    in_background = False
    streams = 1

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> np.ndarray:
        return np.zeros((images, *(image_size or self.image_size), 3), np.uint8)

    def __call__(self, images: np.ndarray) -> Candidates:
        boxes = np.tile(np.array([[8, 8, 40, 40]], np.float32), (len(images), 1, 1))
        scores = np.zeros((len(images), 1, 90), np.float32)
        scores[..., [10, 11]] = 0.9, 0.95  # id 11 is the fire hydrant, id 12 is no class
        return Candidates(boxes, scores)

    def submit(self, images: np.ndarray) -> Ready:
        return Ready(self(images))


@pytest.mark.parametrize("streams", [1, 3])
def test_a_stream_that_is_left_is_done_with_the_engine(streams: int):
    """As a GPU's or OpenVINO's: it works in the background, and a batch takes long."""

    class Slow(Engine):
        in_background = True
        under_way = 0

        def submit(self, images: np.ndarray) -> Ready:
            self.under_way += 1
            answer = Ready(self(images))
            if self.streams == 1:
                self.work()
            else:
                answer = Waiting(answer.candidates, self)
            return answer

        def work(self) -> None:
            time.sleep(1.2)
            self.under_way -= 1

    class Waiting(Ready):
        def __init__(self, candidates: Candidates, engine: Slow) -> None:
            super().__init__(candidates)
            object.__setattr__(self, "engine", engine)

        def result(self) -> Candidates:
            self.engine.work()
            return super().result()

    engine = Slow()
    engine.streams = streams
    predictor = Predictor(engine, COCO_ID_NAMES, input_spec=InputSpec())
    stream = predictor.stream([np.zeros((64, 64, 3), np.uint8)] * 10)
    next(stream)
    while not engine.under_way:  # the next one
        time.sleep(0.001)
    stream.close()
    assert engine.under_way == 0


def test_outputs_without_a_class_are_never_reported():
    """EfficientDet has an output for each of COCO's ids, ten of which name nothing."""
    predictor = Predictor(Engine(), COCO_ID_NAMES, input_spec=InputSpec())
    found = predictor(np.zeros((64, 64, 3), np.uint8))
    assert found.class_names == ["fire hydrant"]
