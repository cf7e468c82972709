"""Views merged to one answer, and lists of files: against plain prediction on a real network."""

import os
import signal
import threading
import time
import tracemalloc
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.checkpoints import load_model
from scantling.engines import EngineSettings, Ready
from scantling.engines.torch_engine import TorchEngine
from scantling.errors import InvalidValue, WorkerLost
from scantling.images import TTA, InferencePlan, TTAView, read_image
from scantling.inference.predictor import Predictor
from scantling.postprocess import Selection
from scantling.specs import InputSpec
from scantling.structures import Candidates, Detections


@pytest.fixture(scope="module")
def engine(assets: Path) -> TorchEngine:
    """A small real network."""
    model = load_model(assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg")
    return TorchEngine(model, EngineSettings(device="cpu"))


@pytest.fixture(scope="module")
def names(assets: Path) -> tuple[str, ...]:
    listed = assets / "weights" / "yolo-fastest-1.1-coco" / "coco.names"
    return tuple(listed.read_text().split("\n")[:80])


@pytest.fixture(scope="module")
def make(engine: TorchEngine, names: tuple[str, ...]):
    """Predictors with other settings on one network."""

    def make(
        plan: InferencePlan | None = None, fit: str = "letterbox", **settings: object
    ) -> Predictor:
        return Predictor(
            engine,
            names,
            input_spec=InputSpec(resize_mode=fit),
            selection=Selection(**({"min_score": 0.05} | settings)),
            plan=plan,
        )

    return make


@pytest.fixture(scope="module")
def photos(assets: Path) -> list[Path]:
    return sorted((assets / "images").rglob("*.jpg"))


def assert_same(ours: Detections | None, theirs: Detections | None) -> None:
    assert ours is not None
    assert theirs is not None
    assert len(theirs) > 0
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize(
    "plan", [InferencePlan(views=(TTAView(1.0),)), InferencePlan(tile=(5000, 5000))]
)
def test_a_plan_of_one_whole_view_changes_no_bit(make, photos, plan, fit):
    for photo in photos[:3]:
        assert_same(make(plan, fit)(photo), make(None, fit)(photo))


def test_an_image_within_one_tile_keeps_no_more_candidates_than_a_plain_one(make, photos):
    few = {"min_score": 0.001, "max_candidates": 5, "nms": "none"}
    plain = make(**few)(photos[0])
    assert len(plain) == 5
    assert_same(make(InferencePlan(tile=(5000, 5000)), **few)(photos[0]), plain)


def test_a_mirrored_view_of_a_mirrored_image_gives_mirrored_boxes(make, photos):
    image = read_image(photos[1])
    plain = make()(image)
    found = make(InferencePlan(views=(TTAView(1.0, flip=True),)))(
        np.ascontiguousarray(image[:, ::-1])
    )
    width = image.shape[1]
    np.testing.assert_array_equal(found.scores, plain.scores)
    np.testing.assert_array_equal(found.labels, plain.labels)
    mirrored = plain.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
    np.testing.assert_allclose(found.boxes, mirrored, atol=1e-2)


def test_two_equal_views_are_one_object_each(make, photos):
    twice = make(InferencePlan(views=(TTAView(), TTAView())))
    for merge in ("nms", "wbf"):
        both = make(InferencePlan(views=(TTAView(), TTAView())), merge=merge)(photos[0])
        alone = make(merge=merge)(photos[0])
        assert len(both) == len(alone)
        np.testing.assert_allclose(both.scores, alone.scores, atol=1e-5)
        np.testing.assert_allclose(both.boxes, alone.boxes, atol=1e-2)
    assert twice.plan.views == (TTAView(), TTAView())


@pytest.mark.parametrize("merge", ["nms", "wbf"])
@pytest.mark.parametrize("plan", [TTA, InferencePlan(tile=(300, 300), whole_image=True)])
def test_what_a_plain_look_is_sure_of_is_found_by_several_too(make, photos, plan, merge):
    image = next(photo for photo in photos if photo.name == "dog.jpg")
    found = make(plan, merge=merge)(image)
    height, width = found.image_size
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
    (dog,) = [one for one in make()(image) if one.name == "dog" and one.score > 0.5]
    middle = np.array(dog.box).reshape(2, 2).mean(0)
    best = next(one for one in found if one.name == "dog")
    assert np.abs(np.array(best.box).reshape(2, 2).mean(0) - middle).max() < 20


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize(
    "plan", [TTA, InferencePlan(tile=(250, 300), views=(TTAView(), TTAView(0.8, True)))]
)
def test_batches_do_not_change_what_several_views_show(make, photos, plan, batch_size):
    predictor = make(plan)
    for one in predictor.stream(photos[:4], batch_size=batch_size):
        alone = predictor(one.frame.image)
        assert one.detections is not None
        assert len(one.detections) == len(alone)
        np.testing.assert_allclose(one.detections.scores, alone.scores, atol=1e-4)
        assert one.detections.source == one.frame.name


class Marks:
    """An engine without torch: its one box a view is where the canvas is white."""

    image_size = (128, 128)
    name = "marks"
    precision = "fp32"
    whole_images = False
    in_background = False
    streams = 1
    description = "marks"
    largest = 0

    def __init__(self, size_divisor: int | None) -> None:
        self.size_divisor = size_divisor

    def new_batch(self, images: int, image_size: tuple[int, int] | None = None) -> np.ndarray:
        return np.zeros((images, *(image_size or self.image_size), 3), np.uint8)

    def __call__(self, images: np.ndarray) -> Candidates:
        self.largest = max(self.largest, len(images))
        boxes = np.zeros((len(images), 1, 4), np.float32)
        scores = np.zeros((len(images), 1, 1), np.float32)
        for number, image in enumerate(images):
            rows, columns = np.nonzero(image[..., 0] > 127)
            if len(rows):
                boxes[number] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                scores[number] = 0.9
        return Candidates(boxes, scores)

    def submit(self, images: np.ndarray) -> Ready:
        return Ready(self(images))


def marked(box: tuple[int, int, int, int], size: tuple[int, int] = (300, 400)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


@pytest.mark.parametrize("divisor", [None, 32])
@pytest.mark.parametrize(
    "plan",
    [
        TTA,
        InferencePlan(tile=(150, 150), overlap=0.5),
        InferencePlan(tile=(100, 200), views=(TTAView(0.9, True),)),
    ],
)
def test_an_object_is_found_where_it_is_whatever_shows_it(plan, divisor):
    predictor = Predictor(Marks(divisor), ("mark",), input_spec=InputSpec(pad_value=0), plan=plan)
    found = predictor(marked((180, 120, 220, 150)))
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [180, 120, 220, 150], atol=4)


def test_part_of_an_object_that_a_tile_cut_is_left_out_where_the_whole_is_seen():
    image, spec = marked((20, 100, 380, 200)), InputSpec(pad_value=0)
    whole = Predictor(Marks(32), ("mark",), input_spec=spec, plan=InferencePlan(tile=(300, 150)))
    found = whole(image)
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [20, 100, 380, 200], atol=4)
    plan = InferencePlan(tile=(300, 150), whole_image=False)
    assert len(Predictor(Marks(32), ("mark",), input_spec=spec, plan=plan)(image)) > 1


def test_the_network_never_sees_more_than_a_batch_at_once():
    engine = Marks(32)
    plan = InferencePlan(tile=(16, 16), overlap=0.0)
    predictor = Predictor(engine, ("mark",), input_spec=InputSpec(pad_value=0), plan=plan)
    list(predictor.stream([marked((10, 10, 20, 20), (200, 200))], batch_size=5))
    assert engine.largest == 5


def test_a_scale_that_the_engine_cannot_take_is_refused_at_once():
    with pytest.raises(InvalidValue, match="one size only"):
        Predictor(
            Marks(None),
            ("mark",),
            input_spec=InputSpec(),
            plan=InferencePlan(views=(TTAView(1.2),)),
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_files_give_what_a_stream_gives(make, photos, tmp_path, workers):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    paths = [photos[0], tmp_path / "broken.jpg", *photos[1:4]]
    predictor = make()
    files = list(predictor.stream_files(paths, batch_size=2, workers=workers))
    assert [one.frame.index for one in files] == list(range(5))
    assert [one.frame.name for one in files] == [str(path) for path in paths]
    assert [one.frame.problem is None for one in files] == [True, False, True, True, True]
    for ours, theirs in zip(files, predictor.stream(paths, batch_size=2), strict=True):
        assert (ours.detections is None) == (theirs.detections is None)
        if ours.detections is not None:
            assert_same(ours.detections, theirs.detections)
            assert ours.seconds.network > 0


@pytest.mark.usefixtures("real_assets")
def test_rectangular_batches_find_the_same_and_say_which_file_it_is(make, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    paths = [tmp_path / "broken.jpg", *photos]
    predictor = make(min_score=0.3)
    files = list(predictor.stream_files(paths, batch_size=3, rectangular=True))
    assert sorted(one.frame.index for one in files) == list(range(len(paths)))
    assert files[-1].frame.index == 0
    assert files[-1].frame.problem is not None
    alike = 0
    for one in files[:-1]:
        assert one.frame.name == str(paths[one.frame.index])
        plain = predictor(paths[one.frame.index])
        assert one.detections is not None
        assert one.detections.image_size == plain.image_size
        alike += one.detections.class_names[:1] == plain.class_names[:1]
    assert alike >= len(photos) - 1


@pytest.mark.parametrize(
    ("plan", "fit", "settings", "message"),
    [
        (None, "stretch", {"rectangular": True}, "stretched"),
        (InferencePlan(tile=(300, 300)), "letterbox", {"rectangular": True}, "tiles"),
        (None, "letterbox", {"workers": -1}, "workers"),
        (None, "letterbox", {"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(make, photos, plan, fit, settings, message):
    with pytest.raises(InvalidValue, match=message):
        next(make(plan, fit).stream_files(photos, **settings))


@pytest.mark.parametrize("workers", [0, 2])
def test_files_that_are_left_early_leave_nothing_running(make, photos, workers):
    with closing(make().stream_files(photos * 20, batch_size=2, workers=workers)) as found:
        next(found)
    assert active_children() == []
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if not any(one.name.startswith("scantling") for one in threading.enumerate()):
            return
        time.sleep(0.02)
    pytest.fail("a thread is left")


def test_a_killed_reader_is_an_error_for_the_caller(make, photos):
    with closing(make().stream_files(photos * 50, batch_size=2, workers=2)) as found:
        next(found)
        os.kill(active_children()[0].pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            list(found)
    assert active_children() == []


def test_memory_does_not_grow_with_the_number_of_files(make, tmp_path):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((1000, 1000, 3), np.uint8))
    peaks = []
    for count in (10, 50):
        tracemalloc.start()
        assert sum(1 for _ in make().stream_files([path] * count, batch_size=2)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 3e6  # an image has 3 MB, and the tracing sees it
    assert peaks[1] < peaks[0] + 15e6
