"""Which images the AP of a file is judged by, and the verdict in words."""

from pathlib import Path

import pytest

from labelled import make_dataset
from scantling.checkpoints import create_model
from scantling.engines.graphs import make_metadata
from scantling.specs.metadata import Calibration, Metadata, image_key
from scantling.verification import Figure, Stage, Verification
from scantling.verification.ap import calibrated_on, choose_judged


def calibrated(paths: list[Path]) -> Metadata:
    keys = tuple(map(image_key, paths))
    calibration = Calibration(data="x", images=len(keys), image_keys=keys)
    return make_metadata(
        create_model("yolov4-tiny", image_size=64, num_classes=2),
        precision="int8",
        calibration=calibration,
    )


@pytest.mark.parametrize(("count", "judged"), [(80, 40), (40, 40)])
def test_a_file_is_judged_by_images_it_was_not_calibrated_on_if_enough_are_left(
    count: int, judged: int, tmp_path: Path
):
    files = [f"{number:03}.png" for number in range(count)]
    rows = [(number, 0, (1.0, 2.0, 30.0, 40.0 + number)) for number in range(count)]
    data = make_dataset(tmp_path, rows, files=files, size=(50, 50))
    metadata = calibrated([image.path for image in data.images[::2]])
    found = choose_judged(data, metadata)
    assert len(found) == judged
    if count == 80:
        assert [image.path.name for image in found.images] == files[1::2]
        assert not any(calibrated_on(found, metadata))
        assert found.objects_of(3).boxes[0].tolist() == [1, 2, 30, 47]
    else:  # 20 others are too few
        assert sum(calibrated_on(found, metadata)) == 20


def test_a_copy_of_an_image_elsewhere_is_known_again(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes(b"pixels")
    (tmp_path / "x.jpg").write_bytes(b"other pixels")
    keys = [image_key(path) for path in sorted(tmp_path.rglob("x.jpg"))]
    assert len(set(keys)) == 2


def verdict(*figures: Figure) -> str:
    stage = Stage("boxes", figures, "4 images")
    return Verification("a.onnx", "a.cfg", "here", "int8", (stage,)).describe()


def test_the_verdict_says_how_far_off_the_file_is_and_what_was_allowed():
    matched = Figure("boxes matched", 92.2, 75.0, unit="%")
    lost = Figure("AP lost", 0.0034, 0.01, at_least=False, error=0.005)
    largest = Figure("score error, largest", 0.165)
    assert verdict(matched, largest) == (
        "It is the model, within what int8 is allowed: boxes matched 92.2% (at least 75%); "
        "no score differs by more than 0.17."
    )
    assert "AP lost 0.0034 ± 0.0050 (95 %) (at most 0.01)" in verdict(lost)
    assert verdict(Figure("AP lost", 0.02, 0.01, at_least=False)).startswith(
        "It is NOT the model: boxes: AP lost 0.02"
    )


@pytest.mark.parametrize(
    ("lost", "error", "passed", "open_"),
    [
        (0.0097, 0.016, True, True),  # within, by a hair of its interval
        (0.0120, 0.016, True, True),  # beyond, but not surely
        (0.0300, 0.016, False, False),  # surely beyond
        (0.0034, 0.005, True, False),  # surely within
        (-0.02, 0.016, True, False),
        (0.0120, float("nan"), False, False),  # of too few images there is no interval
    ],
)
def test_a_limit_within_the_interval_decides_nothing_and_the_verdict_says_so(
    lost: float, error: float, passed: bool, open_: bool
):
    figure = Figure("AP lost", lost, 0.01, at_least=False, error=error)
    assert (figure.holds, bool(figure.doubt)) == (passed, open_)
    words = verdict(figure)
    assert words.startswith("It is the model") == passed
    told = f"is at most 0.01 cannot be told from so few images: the interval is {lost - error:.4f}"
    assert (told in words) == open_
    stage = Stage("ap", (figure,), "64 labelled images")
    record = Verification("a", "b", "c", "int8", (stage,)).to_dict()["stages"][0]["figures"][0]
    assert record["decided"] == (not open_)


def test_a_figure_that_must_not_be_less_has_its_interval_too():
    assert Figure("AP", 0.29, 0.3, error=0.02).holds
    assert not Figure("AP", 0.27, 0.3, error=0.02).holds
    assert not Figure("AP", 0.29, 0.3).holds
