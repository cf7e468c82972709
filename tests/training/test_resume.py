"""What is saved of a run is everything that the next update depends on."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from small_networks import joint_batches, make_run, settle, small_model
from torch import Tensor

from scantling.blocks import read_past
from scantling.errors import InvalidCheckpoint
from scantling.training.recipe import Recipe
from scantling.training.state import TrainState, load_state, read_notes, save_state


def go(recipe: Recipe, *, until: int, file: Path | None = None, resume: bool = False) -> TrainState:
    """A run up to an update, from the start or from a file; then it is saved there."""
    state, trainer = make_run(small_model(), recipe)
    if resume and file is not None:
        load_state(state, file)
    batches = islice(joint_batches(trainer.plan), state.done, None)  # one an update
    for _ in trainer.steps(state, batches):
        if state.done == until:
            break
    if file is not None and not resume:
        save_state(state, file, notes={})
    return state


def weights(state: TrainState) -> dict[str, Tensor]:
    return dict(state.network.named_parameters()) | dict(state.network.named_buffers())


@pytest.mark.parametrize("norm", ["batch", "cross", "cross-mini"])
def test_every_normalisation_goes_on_to_the_bit(tmp_path: Path, norm: str):
    recipe = settle("scaled-yolov4", regularization={"norm": norm, "drop_block": 0.2})
    whole = go(recipe, until=4)
    go(recipe, until=2, file=tmp_path / "state")
    resumed = go(recipe, until=4, file=tmp_path / "state", resume=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_without_its_window_cbn_would_go_on_otherwise(tmp_path: Path):
    """The window is really part of the state: the test above can fail."""
    recipe = settle("scaled-yolov4", regularization={"norm": "cross"})
    saved = go(recipe, until=2, file=tmp_path / "state")
    past = read_past(saved.network)
    assert past
    state, _ = make_run(small_model(), recipe)
    load_state(state, tmp_path / "state")
    taken = read_past(state.network)
    assert taken.keys() == past.keys()
    assert all(torch.equal(past[name], tensor) for name, tensor in taken.items())
    plain = settle("scaled-yolov4")
    assert not torch.equal(
        next(iter(weights(go(recipe, until=3)).values())),
        next(iter(weights(go(plain, until=3)).values())),
    )


def test_the_scale_of_fp16_gradients_goes_on(tmp_path: Path):
    def scaler(scale: float) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)

    state, _ = make_run(small_model(), settle("darknet-tiny"))
    state.scaler = scaler(512)
    for _ in range(4):  # grows once, and is one step on its way to the next time
        state.scaler.scale(next(state.network.parameters()).sum()).backward()
        state.scaler.step(state.optimizer)
        state.scaler.update()
    save_state(state, tmp_path / "state", notes={})
    other, _ = make_run(small_model(), settle("darknet-tiny"))
    other.scaler = scaler(2)
    load_state(other, tmp_path / "state")
    assert other.scaler.state_dict() == state.scaler.state_dict()
    assert other.scaler.get_scale() == 1024


def test_the_state_of_another_model_is_refused(tmp_path: Path):
    go(settle("darknet-tiny"), until=1, file=tmp_path / "state")
    other, _ = make_run(small_model("yolov4-tiny-3l"), settle("darknet-tiny"))
    with pytest.raises(InvalidCheckpoint, match="not those of this run"):
        load_state(other, tmp_path / "state")


def test_what_is_no_state_is_refused(tmp_path: Path):
    (tmp_path / "state").write_bytes(b"x" * 100)
    for path in (tmp_path / "state", tmp_path / "missing"):
        with pytest.raises(InvalidCheckpoint, match=r"no state of a run|there is no such file"):
            read_notes(path)
