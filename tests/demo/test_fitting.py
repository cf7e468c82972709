"""The demonstration is fitted to the machine: epochs and threads by a step's time."""

import pytest

from scantling.demo.fitting import FEWEST_EPOCHS, SPARE, Fit, fit_training

IMAGES = 800  # 50 steps an epoch
TWO_MINUTES = {"images": IMAGES, "minutes": 2.0, "seconds": 120.0}


def an_epoch(step: float) -> float:
    return SPARE * 50 * step


@pytest.mark.parametrize(
    ("step", "epochs"),
    [
        (0.01, 18),  # a quick machine does what an ordinary one does, sooner
        (0.1, 18),
        (0.2, 10),
        (0.28, 7),
        (2.0, 7),  # slower than it can be made up for
    ],
)
def test_the_epochs_follow_from_the_time_of_a_step(step: float, epochs: int):
    fit = fit_training({1: step}, **TWO_MINUTES)
    assert fit.epochs == epochs
    assert fit.epochs >= FEWEST_EPOCHS
    if step < 1:
        assert fit.seconds <= 120
    else:
        assert fit.seconds > 120


def test_the_faster_number_of_threads_is_taken():
    assert fit_training({1: 0.2, 2: 0.11}, **TWO_MINUTES).threads == 2
    assert fit_training({1: 0.2, 2: 0.4}, **TWO_MINUTES).threads == 1
    found = fit_training({1: 0.2, 2: 0.11}, **TWO_MINUTES)
    assert found.seconds == pytest.approx(18 * an_epoch(0.11))


def test_a_short_demonstration_is_not_made_longer():
    found = fit_training({1: 9.0}, images=32, minutes=0.1, seconds=1.0)
    assert found == Fit(1, 1, found.seconds)
    assert fit_training({1: 0.0}, images=32, minutes=0.1, seconds=-9.0).epochs == 1
