"""A stylised copy of a data set: other pixels in a share of the images, the same labels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from labelled import make_dataset
from scantling.datasets.readers import list_splits, read_dataset
from scantling.datasets.stylized import find_styles, stylize_dataset
from scantling.datasets.writers import write_dataset
from scantling.errors import InvalidData, InvalidSource, InvalidValue

FILES = [f"{letter}.jpg" for letter in "abcdefgh"]
ROWS = [(place, place % 2, [5 + place, 6, 60, 50]) for place in range(len(FILES))]


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    """A folder of two style images, one of them in a folder below."""
    folder = tmp_path / "styles"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, colour in (("red.png", (20, 30, 200)), ("deep/green.png", (30, 190, 40))):
        noise = rng.normal(0, 25, (50, 70, 3))
        picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / name), picture)
    return folder


def write_source(folder: Path, kind: str) -> Path:
    """A data set with a train and a validation split, in a format."""
    splits = {
        split: make_dataset(
            folder.parent / f"made-{split}",
            ROWS,
            split=split,
            files=[f"{split}-{f}" for f in FILES],
        )
        for split in ("train", "val")
    }
    write_dataset(splits, folder, to=kind)
    return folder


def pixels_of(folder: Path, split: str) -> dict[str, np.ndarray]:
    dataset = read_dataset(folder, split=split)
    return {image.path.name: cv2.imread(str(image.path)) for image in dataset.images}


@pytest.mark.parametrize("kind", ["coco", "yolo", "darknet", "voc"])
def test_labels_names_and_format_stay(kind: str, tmp_path: Path, styles: Path):
    source = write_source(tmp_path / "source", kind)
    done = stylize_dataset(source, tmp_path / "out", styles=styles)
    assert done.format == kind
    assert list_splits(tmp_path / "out") == list_splits(source)
    for split in list_splits(source):
        old, new = (read_dataset(one, split=split) for one in (source, tmp_path / "out"))
        assert new.format == kind
        assert new.names == old.names
        assert [i.path.name for i in new.images] == [i.path.name for i in old.images]
        assert [i.size for i in new.images] == [i.size for i in old.images]
        assert not new.errors
        np.testing.assert_allclose(new.objects.boxes, old.objects.boxes, atol=1e-3)
        np.testing.assert_array_equal(new.objects.labels, old.objects.labels)


def test_a_share_of_the_training_images_is_changed_and_no_other(tmp_path: Path, styles: Path):
    source = write_source(tmp_path / "source", "yolo")
    done = stylize_dataset(source, tmp_path / "out", styles=styles, share=0.25)
    assert done.styles == 2
    assert (done.images, done.stylized) == ({"train": 8, "val": 8}, {"train": 2, "val": 0})
    for split, count in done.stylized.items():
        old, new = pixels_of(source, split), pixels_of(tmp_path / "out", split)
        changed = [name for name in old if (old[name] != new[name]).any()]
        assert len(changed) == count
        for name in changed:  # grey before; red or green now
            assert np.ptp(new[name].reshape(-1, 3).mean(axis=0)) > 40


@pytest.mark.parametrize(
    ("splits", "changed"), [(("train2017", "val2017"), (8, 0)), (("left", "right"), (8, 8))]
)
def test_what_is_not_trained_on_stays_unless_nothing_says_which_that_is(
    splits: tuple[str, str], changed: tuple[int, int], tmp_path: Path, styles: Path
):
    made = {
        split: make_dataset(tmp_path / split, ROWS, split=split, files=FILES) for split in splits
    }
    write_dataset(made, tmp_path / "source", to="coco")
    done = stylize_dataset(tmp_path / "source", tmp_path / "out", styles=styles, share=1)
    assert tuple(done.stylized[split] for split in splits) == changed


def test_the_same_seed_makes_the_same_set_and_another_another(tmp_path: Path, styles: Path):
    source = write_source(tmp_path / "source", "yolo")
    sets = []
    for number, seed in enumerate((3, 3, 4)):
        folder = tmp_path / f"out-{number}"
        stylize_dataset(source, folder, styles=styles, seed=seed)
        sets.append({p.name: p.read_bytes() for p in (folder / "images" / "train").iterdir()})
    assert sets[0] == sets[1]
    assert sets[0] != sets[2]


def test_strength_zero_changes_no_image_visibly_and_named_splits_alone_change(
    tmp_path: Path, styles: Path
):
    source = write_source(tmp_path / "source", "coco")
    done = stylize_dataset(
        source, tmp_path / "out", styles=styles, strength=0, share=1, splits=["val"]
    )
    assert done.stylized == {"train": 0, "val": 8}
    for split in ("train", "val"):
        old, new = pixels_of(source, split), pixels_of(tmp_path / "out", split)
        assert max(np.abs(old[name].astype(int) - new[name]).max() for name in old) <= 2


def test_an_image_of_two_splits_is_changed_in_both_and_keeps_its_name(tmp_path: Path, styles: Path):
    made = make_dataset(tmp_path / "made", ROWS, files=FILES)
    write_dataset({"train": made, "trainval": made}, tmp_path / "source", to="voc")
    done = stylize_dataset(tmp_path / "source", tmp_path / "out", styles=styles, share=0.5)
    assert done.stylized == {"train": 4, "trainval": 4}
    new = [pixels_of(tmp_path / "out", split) for split in ("train", "trainval")]
    assert list(new[0]) == list(new[1]) == FILES
    assert all((new[0][name] == new[1][name]).all() for name in FILES)


def test_an_image_that_opencv_cannot_write_becomes_a_png(tmp_path: Path, styles: Path):
    made = make_dataset(tmp_path / "made", [(0, 0, [1, 2, 30, 40])], files=["a.png"])
    assert cv2.imwrite(
        str(tmp_path / "made" / "a.ppm"), cv2.imread(str(tmp_path / "made" / "a.png"))
    )
    (tmp_path / "made" / "a.png").unlink()
    made = make_dataset(tmp_path / "made", [(0, 0, [1, 2, 30, 40])], files=["a.ppm"])
    write_dataset({"train": made}, tmp_path / "source", to="yolo")
    stylize_dataset(tmp_path / "source", tmp_path / "out", styles=styles, share=1)
    new = read_dataset(tmp_path / "out", split="train")
    assert [image.path.name for image in new.images] == ["a.png"]
    assert len(new.objects) == 1


@pytest.mark.parametrize("option", ["share", "strength"])
def test_a_number_out_of_range_is_refused_before_anything_is_read(option: str, tmp_path: Path):
    with pytest.raises(InvalidValue, match=option):
        stylize_dataset("nothing", tmp_path / "out", styles="nothing", **{option: 1.5})


def test_nothing_is_left_where_it_fails(tmp_path: Path, styles: Path):
    source = write_source(tmp_path / "source", "yolo")
    before = sorted(path.name for path in tmp_path.iterdir())
    (styles / "red.png").write_bytes(b"no image")
    (styles / "deep" / "green.png").write_bytes(b"no image")
    with pytest.raises(InvalidSource):
        stylize_dataset(source, tmp_path / "out", styles=styles)
    with pytest.raises(InvalidData, match="is not empty"):
        stylize_dataset(source, source, styles=styles)
    with pytest.raises(InvalidData, match="no split 'tain'; did you mean 'train'"):
        stylize_dataset(source, tmp_path / "out", styles=styles, splits=["tain"])
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_styles_are_found_in_order_and_their_absence_is_an_error(tmp_path: Path, styles: Path):
    assert [path.name for path in find_styles(styles)] == ["green.png", "red.png"]
    assert find_styles(styles / "red.png") == (styles / "red.png",)
    (tmp_path / "empty").mkdir()
    for nothing in ("empty", "absent"):
        with pytest.raises(InvalidSource, match="no style images"):
            find_styles(tmp_path / nothing)
