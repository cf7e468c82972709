"""Transforms from names and settings, from a user's file, and from albumentations."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scantling.augment import (
    TRANSFORMS,
    Compose,
    GridMask,
    HorizontalFlip,
    VerticalFlip,
    create,
    from_albumentations,
    load_transform,
)
from scantling.errors import InvalidValue, UnknownName
from scantling.structures import Sample

CUSTOM = """
from dataclasses import dataclass, replace

@dataclass(frozen=True)
class Posterize:
    levels: int = 4
    colour: tuple[int, ...] = (1, 2)

    def __call__(self, sample, rng):
        step = 256 // self.levels
        return replace(sample, image=sample.image // step * step)
"""


@pytest.fixture
def sample() -> Sample:
    return Sample(
        image=np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8),
        boxes=np.array([[1, 2, 11, 12], [20, 5, 40, 30], [3, 4, 39, 29]], np.float32),
        labels=np.array([5, 6, 7]),
        crowd=np.array([False, True, False]),
        image_id="a",
    )


def test_compose_applies_transforms_in_order(sample):
    both = Compose((HorizontalFlip(1.0), VerticalFlip(1.0)))(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(both.image, sample.image[::-1, ::-1])
    np.testing.assert_array_equal(both.boxes[0], [29, 18, 39, 28])
    assert Compose()(sample, np.random.default_rng(0)) is sample


def test_compose_says_when_a_class_stands_for_a_transform():
    with pytest.raises(InvalidValue, match=r"such as HorizontalFlip\(\)"):
        Compose((HorizontalFlip,))


def test_a_transform_is_made_from_settings_of_a_file():
    made = create(TRANSFORMS, "grid-mask", {"period": [0.1, 0.2], "fill": [1, 2, 3]})
    assert made == GridMask(period=(0.1, 0.2), fill=(1, 2, 3))


def test_a_misspelt_setting_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'probability'"):
        create(TRANSFORMS, "cutout", {"probabilty": 0.2})
    with pytest.raises(UnknownName, match="Did you mean 'cutout'"):
        create(TRANSFORMS, "cut-out", {})


def test_a_transform_of_ones_own_is_a_file_and_a_line(tmp_path: Path, sample):
    file = tmp_path / "mine.py"
    file.write_text(CUSTOM)
    mine = load_transform(f"{file}:Posterize", {"levels": 2, "colour": [3, 4]})
    assert mine.transform.colour == (3, 4)
    result = mine(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(result.image, sample.image // 128 * 128)
    sent = pickle.loads(pickle.dumps(mine))  # as to the worker of a loader
    np.testing.assert_array_equal(sent(sample, np.random.default_rng(0)).image, result.image)


@pytest.mark.parametrize(
    ("text", "where", "error", "message"),
    [
        (CUSTOM, "mine.py", InvalidValue, "path/to/file.py:ClassName"),
        (CUSTOM, "mine.py:Posterise", UnknownName, "Did you mean 'Posterize'"),
        (CUSTOM, "other.py:Posterize", InvalidValue, "a Python file that exists"),
        ("1 / 0", "mine.py:Posterize", InvalidValue, "ZeroDivisionError"),
        ("class Posterize:\n    pass", "mine.py:Posterize", InvalidValue, r"\(sample, rng\)"),
    ],
)
def test_a_file_that_will_not_do_says_why(tmp_path: Path, text, where, error, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(error, match=message):
        load_transform(str(tmp_path / where))


def test_a_setting_that_ones_own_class_lacks_is_named(tmp_path: Path):
    (tmp_path / "mine.py").write_text(CUSTOM)
    with pytest.raises(UnknownName, match="Did you mean 'levels'"):
        load_transform(f"{tmp_path / 'mine.py'}:Posterize", {"level": 3})


class FlipLikeAlbumentations:
    """Looks like `albumentations.Compose`: flips or not by its own seed, drops the middle box."""

    def __init__(self, form: str, label_fields: list[str] | None) -> None:
        self.form, self.label_fields = form, label_fields
        params = SimpleNamespace(format=form, label_fields=label_fields)
        self.processors = {"bboxes": SimpleNamespace(params=params)}
        self.random = np.random.default_rng()

    def set_random_seed(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, *, image, bboxes, **fields):
        assert set(fields) == set(self.label_fields or [])
        rows = np.asarray(bboxes, float)
        width = {"pascal_voc": 40, "coco": 40, "albumentations": 1, "yolo": 1}[self.form]
        if self.random.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            if self.form == "yolo":
                rows[:, 0] = width - rows[:, 0]
            elif self.form == "coco":
                rows[:, 0] = width - rows[:, 0] - rows[:, 2]
            else:
                rows[:, [0, 2]] = width - rows[:, [2, 0]]
        kept = [0, 2]
        lists = {key: [values[i] for i in kept] for key, values in fields.items()}
        return {"image": image, "bboxes": rows[kept], **lists}


@pytest.mark.parametrize("label_fields", [["names"], ["names", "more"], None])
@pytest.mark.parametrize("form", ["pascal_voc", "coco", "albumentations", "yolo"])
def test_an_albumentations_pipeline_is_a_transform(form, label_fields, sample):
    transform = from_albumentations(FlipLikeAlbumentations(form, label_fields))
    flips = 0
    for seed in range(20):
        result = transform(sample, np.random.default_rng(seed))
        again = transform(sample, np.random.default_rng(seed))
        np.testing.assert_array_equal(result.image, again.image)
        flipped = not np.array_equal(result.image, sample.image)
        expected = HorizontalFlip(float(flipped))(sample, np.random.default_rng(0))
        np.testing.assert_array_equal(result.image, expected.image)
        np.testing.assert_allclose(result.boxes, expected.boxes[[0, 2]], atol=1e-4)
        assert result.boxes.dtype == np.float32
        assert result.labels.tolist() == [5, 7]
        assert result.crowd.tolist() == [False, False]
        flips += flipped
    assert 3 < flips < 17


def test_a_pipeline_that_will_not_do_says_why(sample):
    with pytest.raises(InvalidValue, match="bbox_params"):
        from_albumentations(lambda image: {"image": image})
    with pytest.raises(InvalidValue, match="one of pascal_voc"):
        from_albumentations(FlipLikeAlbumentations("polar", []))
    unseeded = SimpleNamespace(processors=FlipLikeAlbumentations("coco", []).processors)
    with pytest.raises(InvalidValue, match="bbox_params"):
        from_albumentations(unseeded)
    floats = FlipLikeAlbumentations("coco", None)
    with pytest.raises(InvalidValue, match="leave out Normalize"):
        from_albumentations(_Normalized(floats))(sample, np.random.default_rng(0))


class _Normalized(FlipLikeAlbumentations):
    def __init__(self, inner: FlipLikeAlbumentations) -> None:
        super().__init__(inner.form, inner.label_fields)

    def __call__(self, *, image, bboxes, **fields):
        done = super().__call__(image=image, bboxes=bboxes, **fields)
        return {**done, "image": done["image"].astype(np.float32) / 255}
