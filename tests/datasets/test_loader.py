"""Training batches: whole, in order, the same wherever they are made."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scantling.augment import MixUp, ScaledYoloAugmentation
from scantling.datasets.dataset import Dataset, LabelledImage, make_objects
from scantling.datasets.loader import Task, load_batches, open_training_set
from scantling.errors import InvalidData, InvalidSource

TASKS = [
    Task((0, 1, 2), (64, 64), (7, 1)),
    Task((3, 4), (96, 64), (7, 2)),
    Task((5,), (64, 64), (7, 3), mixing=False),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    images = []
    for index in range(6):
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (120, 160, 3), np.uint8))
        images.append(LabelledImage(path, index, (120, 160)))
    boxes = [[10, 20, 90, 100], [5, 5, 150, 60]] * 5  # the last image has none
    places = np.repeat(np.arange(5), 2)
    crowd = [False] * 9 + [True]
    objects = make_objects(boxes, [0, 1] * 5, places, crowd=crowd)
    return Dataset(tmp_path, "yolo", "train", ("a", "b"), (0, 1), tuple(images), objects)


def augmentation(image_size: tuple[int, int]) -> ScaledYoloAugmentation:
    return ScaledYoloAugmentation(image_size=image_size)


def resized(image_size: tuple[int, int]):
    return partial(_resize, image_size)


def _resize(image_size, sample, rng, *, draw):
    image = cv2.resize(sample.image, image_size[::-1])
    scale = np.array([image_size[1] / sample.image.shape[1], image_size[0] / sample.image.shape[0]])
    boxes = (sample.boxes * np.tile(scale, 2)).astype(np.float32)
    return type(sample)(image, boxes, sample.labels, sample.crowd, sample.image_id)


def same(one, other) -> bool:
    columns = ("boxes", "labels", "image_index")
    return torch.equal(one.images, other.images) and all(
        torch.equal(getattr(one.targets, name), getattr(other.targets, name)) for name in columns
    )


def test_a_batch_has_every_object_but_crowds_on_its_own_image(dataset: Dataset):
    training_set = open_training_set(dataset, resized, long_side=80)
    (batch,) = load_batches(training_set, [Task((4, 0, 5), (60, 80))], workers=0)
    assert batch.images.shape == (3, 3, 60, 80)
    assert batch.images.dtype == torch.uint8
    assert batch.image_ids == (4, 0, 5)
    assert batch.targets.image_index.tolist() == [0, 1, 1]
    assert batch.targets.labels.tolist() == [0, 0, 1]
    assert batch.targets.boxes.tolist() == [[5, 10, 45, 50], [5, 10, 45, 50], [2.5, 2.5, 75, 30]]


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_in_order_whoever_makes_them(dataset: Dataset, workers: int):
    training_set = open_training_set(dataset, augmentation, long_side=80, mixers={MixUp(): 0.5})
    here = list(load_batches(training_set, TASKS, workers=0))
    there = list(load_batches(training_set, TASKS, workers=workers))
    assert [batch.image_ids for batch in there] == [(0, 1, 2), (3, 4), (5,)]
    assert all(map(same, here, there))


def test_a_part_of_a_batch_is_what_the_whole_would_have_there(dataset: Dataset):
    training_set = open_training_set(dataset, augmentation, long_side=80)
    whole, second = load_batches(
        training_set, [TASKS[0], Task((1, 2), (64, 64), (7, 1), first=1)], workers=0
    )
    assert torch.equal(whole.images[1:], second.images)


def test_another_seed_and_no_mixing_change_the_images(dataset: Dataset):
    training_set = open_training_set(dataset, augmentation, long_side=80)
    tasks = [
        Task((0,), (64, 64), seed, mixing=mix) for seed, mix in (((1,), 1), ((2,), 1), ((1,), 0))
    ]
    one, other, plain = load_batches(training_set, tasks, workers=0)
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.images, plain.images)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_stops_the_run_with_its_name(dataset: Dataset, workers: int):
    training_set = open_training_set(dataset, resized, long_side=80)
    dataset.images[1].path.write_bytes(b"gone")
    with pytest.raises(InvalidSource, match=r"1\.png"):
        list(load_batches(training_set, TASKS, workers=workers))


def test_an_image_of_another_size_than_its_labels_stops_the_run(dataset: Dataset):
    training_set = open_training_set(dataset, resized, long_side=400)
    cv2.imwrite(str(dataset.images[2].path), np.zeros((160, 120, 3), np.uint8))  # turned
    with pytest.raises(InvalidSource, match=r"2\.png: is not of 160x120 pixels"):
        list(load_batches(training_set, TASKS, workers=0))


def test_images_without_a_size_are_refused(dataset: Dataset):
    broken = Dataset(
        dataset.source,
        "yolo",
        "train",
        dataset.names,
        dataset.category_ids,
        (LabelledImage(Path("a.png"), 0, None),),
        make_objects([], [], []),
    )
    with pytest.raises(InvalidData, match="1 of 1 images"):
        open_training_set(broken, resized, long_side=80)
