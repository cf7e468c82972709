"""A run that is killed without a warning and resumed ends as one that never was."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small import SETTINGS, words, write_cfg, write_set

from doomed import run_doomed
from scantling.cli import main

EVERY_UPDATE = {"save_minutes": 1e-9}
UPDATES = 12  # of the run: two epochs of 24 images, four an update


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data set, and the folder `whole` of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("killed")
    write_cfg(folder)
    write_set(folder / "set", images=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCANTLING_CACHE", str(folder / "cache"))
        assert main(train(folder, "whole", {"loader.workers": 0})) == 0
        yield folder


def train(folder: Path, name: str, more: dict[str, object]) -> list[str]:
    """The words of a run in a folder of this name."""
    data = folder / "set" / "data.yaml"
    given = ["train", str(folder / "thin.cfg"), "--data", str(data), "--device", "cpu"]
    return [
        *given, "--out", str(folder / name),
        *words({**SETTINGS, **EVERY_UPDATE, **more}),
    ]  # fmt: skip


def resume(folder: Path, name: str) -> list[str]:
    return ["train", "--resume", str(folder / name)]


def kill_after(arguments: list[str], file: Path, times: int, delay: float = 0.0) -> None:
    """Run a command that is killed without a warning."""
    status, said = run_doomed(arguments, file, times, delay=delay)
    assert status == -signal.SIGKILL, said


def saved(run: Path) -> int:
    """Updates in the saved state, read in one go, as the file is replaced all the time."""
    try:
        data = (run / "state.safetensors").read_bytes()
    except FileNotFoundError:
        return 0
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return int(json.loads(header["__metadata__"]["scantling-run"])["done"])


def figures(run: Path) -> list[dict[str, object]]:
    """The rows of the metrics without what depends on the clock."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def check_same(folder: Path, name: str) -> None:
    for file in ("last.safetensors", "best.safetensors"):
        assert (folder / name / file).read_bytes() == (folder / "whole" / file).read_bytes(), file
    assert figures(folder / name) == figures(folder / "whole")
    assert len(figures(folder / name)) == SETTINGS["epochs"]


def test_a_run_killed_twice_ends_with_the_same_bytes(desk: Path):
    """Within each epoch once; its images come from a process, those of the other from a thread."""
    state = desk / "twice" / "state.safetensors"
    kill_after(train(desk, "twice", {"loader.workers": 1}), state, UPDATES // 3)
    first = saved(desk / "twice")
    assert 1 <= first < UPDATES // 2
    kill_after(resume(desk, "twice"), state, UPDATES // 2)
    assert UPDATES // 2 < saved(desk / "twice") < UPDATES
    assert main(resume(desk, "twice")) == 0
    check_same(desk, "twice")


def test_a_run_killed_before_anything_was_saved_begins_again_the_same(desk: Path):
    run = desk / "early"
    kill_after(train(desk, "early", {"loader.workers": 0}), run / "state.safetensors", 0)
    assert saved(run) == 0
    assert main(resume(desk, "early")) == 0
    check_same(desk, "early")


def test_ctrl_c_reaches_the_workers_too_and_nothing_is_lost(desk: Path):
    """A terminal sends it to every process of the run."""
    run = desk / "stopped"
    arguments = train(desk, "stopped", {"loader.workers": 1})
    status, said = run_doomed(arguments, run / "state.safetensors", 1, signal.SIGINT, group=True)
    assert status == 130, said
    assert f"scantling train --resume {run}" in said
    assert "Traceback" not in said
    assert 1 <= saved(run) < UPDATES
    assert main(resume(desk, "stopped")) == 0
    check_same(desk, "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_run_killed_at_a_random_moment_ends_with_the_same_bytes(desk: Path, seed: int):
    rng = np.random.default_rng(seed)
    name, workers = f"random{seed}", seed % 2
    step, delay = int(rng.integers(1, UPDATES)), float(rng.uniform(0.001, 0.3))
    state = desk / name / "state.safetensors"
    kill_after(train(desk, name, {"loader.workers": workers}), state, step, delay)
    assert main(resume(desk, name)) == 0
    check_same(desk, name)
