"""Drawn pictures: the same from the same seed, and every box is that of the pixels drawn."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scantling.datasets.check import check_dataset
from scantling.datasets.readers import read_dataset
from scantling.demo.scenes import LEAST_SEEN, NAMES, SIDES, draw_dataset, draw_scene
from scantling.demo.shapes import OUTLINES, area_of, rasterise

SEEDS = range(30)


def test_the_same_seed_draws_the_same_picture_and_another_seed_another():
    one, same, other = (draw_scene(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.boxes, same.boxes)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert (one.image != other.image).mean() > 0.5


def test_a_box_touches_the_first_and_last_pixel_of_its_object_on_every_side():
    for seed in SEEDS:
        scene = draw_scene(np.random.default_rng(seed))
        for number, box in enumerate(scene.boxes):
            points = cv2.findNonZero((scene.owner == number).astype(np.uint8))
            left, top, width, height = cv2.boundingRect(points)  # OpenCV's own tight box
            assert box.tolist() == [left, top, left + width, top + height]


def test_what_is_drawn_is_seen_against_what_was_there_before():
    """The mean colour within an object differs from that of a frame of pixels around it."""
    differences = []
    for seed in SEEDS:
        scene = draw_scene(np.random.default_rng(seed))
        for number in range(len(scene.labels)):
            inside = scene.owner == number
            wide = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            around = wide & (scene.owner == -1)
            if around.any():
                means = (scene.image[mask].mean(axis=0) for mask in (inside, around))
                differences.append(np.linalg.norm(np.subtract(*means)))
    assert len(differences) > 60
    assert np.quantile(differences, 0.1) > 30


def test_no_object_is_hidden_or_cut_by_more_than_it_may_be():
    """Of an object of the smallest size, the share that may be seen is left."""
    for seed in SEEDS:
        scene = draw_scene(np.random.default_rng(seed))
        seen = np.bincount(scene.owner.ravel() + 1, minlength=len(scene.labels) + 1)[1:]
        assert (seen >= 0.9 * LEAST_SEEN * SIDES[0] ** 2).all()
        assert len(scene.labels) == len(scene.boxes) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_an_outline_covers_its_area(name: str):
    cover = rasterise(
        OUTLINES[name], (200, 200), centre=(100, 100), radius=80, angle=0.7, squeeze=0.8
    )
    assert (cover >= 0.5).sum() == pytest.approx(area_of(OUTLINES[name]) * 80**2 * 0.8, rel=0.06)
    rows, columns = np.nonzero(cover >= 0.5)
    assert np.hypot(rows - 100, columns - 100).max() <= 82


def test_no_two_classes_have_one_outline():
    """Turned any way, the best overlap of two classes of one size is well below that of one."""
    for name in NAMES:
        still = _draw(name, 0.0)
        for other in set(NAMES) - {name}:
            best = max(
                (still & _draw(other, angle)).sum() / (still | _draw(other, angle)).sum()
                for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False)
            )
            assert best < 0.85, (name, other)


def _draw(name: str, angle: float) -> np.ndarray:
    """An outline of one area, whatever its class, as a mask."""
    radius = np.sqrt(4000 / area_of(OUTLINES[name]))
    cover = rasterise(
        OUTLINES[name], (160, 160), centre=(80, 80), radius=radius, angle=angle, squeeze=1.0
    )
    return cover >= 0.5


def test_a_drawn_data_set_is_read_without_findings_and_is_the_same_every_time(tmp_path: Path):
    counts = {"train": 20, "val": 5, "test": 4}
    drawn = []
    for name in ("a", "b"):
        steps: list[int] = []
        folder = tmp_path / name
        draw_dataset(folder, images=counts, seed=7, advance=lambda: steps.append(1))  # noqa: B023
        assert len(steps) == 29
        drawn.append(
            {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        )
    assert drawn[0] == drawn[1]
    assert len({data for name, data in drawn[0].items() if name.endswith(".jpg")}) == 29
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    for split, count in counts.items():
        dataset = read_dataset(tmp_path / "a" / "data.yaml", split=split)
        assert (len(dataset), dataset.names) == (count, NAMES)
    result = check_dataset(tmp_path / "a")
    assert not result.errors
    assert not [finding for finding in result.findings if finding.code.startswith("W2")]


def test_the_labels_of_a_data_set_are_those_of_its_scenes(tmp_path: Path):
    draw_dataset(tmp_path / "data", images={"train": 4, "val": 3}, seed=2)
    for number, (split, count) in enumerate({"train": 4, "val": 3}.items()):
        dataset = read_dataset(tmp_path / "data", split=split)
        for index in range(count):
            scene = draw_scene(np.random.default_rng((2, number, index)))
            objects = dataset.objects_of(index)
            np.testing.assert_allclose(objects.boxes, scene.boxes, atol=1e-3)
            np.testing.assert_array_equal(objects.labels, scene.labels)
