"""A run from Python: what it keeps when it breaks, who follows it, what is said of it."""

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small import NAMES, SETTINGS, write_cfg, write_set

from scantling.checkpoints import load_model
from scantling.errors import (
    InvalidCheckpoint,
    InvalidValue,
    MissingPackage,
    TrainingDiverged,
    UnknownName,
)
from scantling.inference import load
from scantling.structures import LossTerms
from scantling.training import EpochDone, Run, StepDone, open_run, resume_run
from scantling.training.accelerator import TRACKERS, check_trackers
from scantling.training.resolve import parse_settings
from scantling.training.state import LossMeter


def begin(
    folder: Path, *, name: str = "run", trackers: tuple[str, ...] = (), **more: object
) -> Run:
    if not (folder / "set").exists():
        write_set(folder / "set")
    given = {**SETTINGS, "shapes.range": 1, "loader.workers": 0, **more}
    return open_run(
        write_cfg(folder),
        folder / "set" / "data.yaml",
        settings=parse_settings([f"{key}={value}" for key, value in given.items()]),
        device="cpu",
        out=folder / name,
        cache=folder / "cache",
        trackers=trackers,
    )


def test_events_are_three_updates_and_an_epoch_twice(tmp_path: Path):
    kinds = [type(event) for event in begin(tmp_path).events()]
    assert kinds == ([StepDone] * 3 + [EpochDone]) * 2


def test_evaluation_comes_when_it_is_due_and_at_the_end(tmp_path: Path):
    run = begin(tmp_path, epochs=3, evaluate_every=2)
    epochs = [event for event in run.events() if isinstance(event, EpochDone)]
    assert ["AP" in event.row for event in epochs] == [False, True, True]
    assert epochs[0].evaluation is None
    assert run.evaluation is epochs[2].evaluation


def test_a_model_that_was_trained_at_another_size_is_run_at_that_size(tmp_path: Path):
    run = begin(tmp_path, image_size=[96, 96])
    for _ in run.events():
        pass
    for file in (run.folder.best, run.folder.last):
        assert load_model(file).spec.image_size == (96, 96)  # the cfg says 64
        assert load(file, engine="torch").engine.image_size == (96, 96)


def go(run: Run, *, poison: Callable[[StepDone | EpochDone], bool]) -> None:
    """Go through a run, and break a weight after the event that is pointed at."""
    for event in run.events():
        if poison(event):
            with torch.no_grad():
                next(run.state.network.parameters())[0, 0] = torch.nan


def test_a_poisoned_weight_stops_the_run_and_what_was_saved_stays(tmp_path: Path):
    run = begin(tmp_path, epochs=3)
    with pytest.raises(
        TrainingDiverged, match=r"no longer finite: .* update: \d+, \d+, \d+, \d+\."
    ):
        go(run, poison=lambda event: isinstance(event, EpochDone))
    assert len(run.folder.metrics.read_text().splitlines()) == 1
    assert all(tensor.isfinite().all() for tensor in load_file(run.folder.last).values())
    # the state from before goes on to the end
    again = resume_run(run.folder.path, cache=tmp_path / "cache")
    assert again.state.done == 3
    assert sum(isinstance(event, EpochDone) for event in again.events()) == 2


def test_a_weight_that_breaks_in_the_last_update_of_an_epoch_is_not_saved(tmp_path: Path):
    run = begin(tmp_path)
    with pytest.raises(TrainingDiverged):
        go(run, poison=lambda event: isinstance(event, StepDone) and event.step.last)
    assert not run.folder.last.exists()
    assert not run.folder.state.exists()


def test_one_process_can_make_runs_of_different_precision(tmp_path: Path):
    for precision in ("fp32", "bf16", "fp32"):
        run = begin(
            tmp_path, name=f"{precision}-{len(list(tmp_path.iterdir()))}", precision=precision
        )
        assert run.trainer.accelerator.mixed_precision == {"fp32": "no"}.get(precision, precision)


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path: Path):
    with pytest.raises(InvalidValue, match=r"regularization"):
        begin(tmp_path, **{"regularization.drop_path": 0.5})
    assert not (tmp_path / "run").exists()


def test_several_processes_need_a_folder_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_set(tmp_path / "set")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidValue, match="when several processes train together"):
        open_run(write_cfg(tmp_path), tmp_path / "set" / "data.yaml")


def test_a_meter_restored_from_its_sums_gives_the_same_averages():
    terms = [LossTerms(*(torch.tensor(0.1 * n + k) for k in range(4))) for n in range(7)]
    whole, first = LossMeter(), LossMeter()
    for part in terms:
        whole.update(part, 3)
    for part in terms[:4]:
        first.update(part, 3)
    second = LossMeter(json.loads(json.dumps(first.sums())), first.images)
    for part in terms[4:]:
        second.update(part, 3)
    assert second.sums() == whole.sums()
    assert whole.sums()["box"] / whole.images == pytest.approx(0.3)


OLD_NAMES = {
    "self_adversarial": "adversarial", "ema": "average", "optimizer": "optimiser",
    "regularization": "regularise",
}  # fmt: skip


def old_name(name: str) -> str:
    group, dot, rest = name.partition(".")
    return OLD_NAMES.get(group, group) + dot + rest


def test_a_run_folder_with_the_old_names_of_settings_resumes(tmp_path: Path):
    whole = begin(tmp_path, name="whole")
    for _ in whole.events():
        pass
    run = begin(tmp_path, name="old")
    for _ in run.events(stop=lambda: run.state.done == 2):
        pass
    record = json.loads(run.folder.settings.read_text())
    record["begun"] = record.pop("args")
    for table in ("settings", "recipe", "sources"):
        record[table] = {old_name(name): value for name, value in record[table].items()}
    run.folder.settings.write_text(json.dumps(record))
    with safe_open(run.folder.state, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(run.folder.state)
    assert {"ema", "optimizer"} <= {name.partition(".")[0] for name in tensors}
    renamed = {old_name(name): tensor for name, tensor in tensors.items()}
    save_file(renamed, run.folder.state, metadata=header)

    resumed = resume_run(run.folder.path, cache=tmp_path / "cache")
    assert resumed.resolved == whole.resolved
    for _ in resumed.events():
        pass
    assert resumed.folder.last.read_bytes() == whole.folder.last.read_bytes()


def test_the_page_and_the_curves_show_the_run(tmp_path: Path):
    run = begin(tmp_path, epochs=2)
    for _ in run.events():
        pass
    page = run.folder.report.read_text("utf-8")
    assert "2 of 2 epochs, 6 updates" in page
    assert page.count("data:image/png;base64,") >= 1
    assert page.count("data:image/jpeg;base64,") >= 2  # samples and images of the evaluation
    assert all(f"<td>{name}</td>" in page for name in NAMES)
    row = re.search(r"<td>optimizer.momentum</td><td[^>]*>0.9</td><td>thin.cfg</td>", page)
    assert row
    assert "<td>packages.torch</td>" in page
    assert not re.search(r"""(src|href)=(?!"data:)""", page)
    assert run.folder.curves.read_bytes().startswith(b"\x89PNG")


def test_a_tracker_that_is_not_there_is_an_error_before_any_data_is_read(tmp_path: Path):
    missing = [name for name, (module, _) in TRACKERS.items() if find_spec(module) is None]
    if not missing:
        pytest.skip("every tracker is installed")
    with pytest.raises(MissingPackage, match=f"pip install {missing[0]}"):
        open_run("yolov4-tiny", tmp_path / "nowhere", trackers=missing[:1])
    with pytest.raises(UnknownName, match="tensorboard"):
        check_trackers(["tensorbord"])


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_every_figure_of_every_epoch(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = begin(tmp_path, trackers=("tensorboard",))
    for _ in run.events():
        pass
    events = EventAccumulator(str(run.folder.path / "scantling"))
    events.Reload()
    rows = [json.loads(line) for line in run.folder.metrics.read_text().splitlines()]
    for name in ("total", "AP50", "learning_rate"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(row["step"], pytest.approx(row[name])) for row in rows]


@pytest.mark.usefixtures("real_assets")
def test_the_split_for_validation_comes_before_the_one_for_testing(assets: Path, tmp_path: Path):
    """BCCD has train, trainval, val and test; by the alphabet test would come first."""
    run = open_run(
        "yolov4-tiny",
        assets / "datasets" / "bccd",
        settings={"image_size": [64, 64], "anchors": {"fit": "never"}, "loader": {"workers": 0}},
        out=tmp_path / "run",
        cache=tmp_path / "cache",
    )
    assert run.training_set.dataset.split == "train"
    assert run.validation is not None
    assert run.validation.split == "val"


def test_the_number_of_updates_is_known_and_an_event_says_which_it_is(tmp_path: Path):
    run = begin(tmp_path)
    steps = [event for event in run.events() if isinstance(event, StepDone)]
    assert run.updates == len(steps) == 6
    assert [event.step.index for event in steps] == list(range(6))
    assert float(steps[0].terms.total) > 0


def test_a_run_left_in_its_first_epoch_leaves_models_and_goes_on_to_the_bit(tmp_path: Path):
    whole = begin(tmp_path, name="whole")
    for _ in whole.events():
        pass
    run = begin(tmp_path)
    for _ in run.events():
        if run.state.done == 1:
            break
    saved = [load_model(file).names for file in (run.folder.last, run.folder.best)]
    assert saved == [NAMES, NAMES]
    run = resume_run(run.folder.path, cache=tmp_path / "cache")
    run.folder.best.unlink()
    for _ in run.events(stop=lambda: run.state.done == 2):
        pass
    assert load_model(run.folder.best).names == NAMES
    resumed = resume_run(run.folder.path, cache=tmp_path / "cache")
    assert resumed.state.done == 2
    for _ in resumed.events():
        pass
    for name in ("last", "best"):
        files = [getattr(one.folder, name).read_bytes() for one in (resumed, whole)]
        assert files[0] == files[1]


def test_leaving_at_the_last_update_of_an_epoch_does_not_skip_its_evaluation(tmp_path: Path):
    run = begin(tmp_path)
    for event in run.events():
        if isinstance(event, StepDone) and event.step.last:
            break
    assert not run.folder.state.exists()
    assert load_model(run.folder.best).names == NAMES


def test_a_model_that_a_run_has_not_saved_yet_is_missing_not_damaged(tmp_path: Path):
    run = begin(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=r"no such file.*ended before it saved a model"):
        load(run.folder.best)
    for _ in run.events(stop=lambda: True):
        pass
    with pytest.raises(InvalidCheckpoint, match=r"are: best\.safetensors, last.safetensors"):
        load(run.folder.path / "bset.safetensors")
    with pytest.raises(InvalidCheckpoint, match=r"no such file\. Correct the path"):
        load(tmp_path / "nowhere" / "x.safetensors")
