"""A run of two processes: one writes, both stop together, and it learns what one process would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small import SETTINGS, words, write_cfg, write_set

from scantling.cli import main

JOINT = {
    "batch": 4,
    "nominal_batch": 8,
    "precision": "fp32",
    "regularization.norm": "sync",
    "optimizer.learning_rate": 0.001,
    "loader.workers": 0,
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("together")
    write_cfg(folder)
    write_set(folder / "set", images=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCANTLING_CACHE", str(folder / "cache"))
        yield folder


def command(folder: Path, name: str, more: dict[str, object] | None = None) -> list[str]:
    return [
        "train", str(folder / "thin.cfg"), "--data", str(folder / "set" / "data.yaml"),
        "--device", "cpu", "--out", str(folder / name),
        *words({**SETTINGS, **JOINT, **(more or {})}),
    ]  # fmt: skip


def launched(arguments: list[str]) -> list[str]:
    """The same command for two processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    return [sys.executable, *launcher, "-m", "scantling", *arguments]


def threads() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_two_processes_learn_what_one_does_with_the_joint_batch(desk: Path):
    done = subprocess.run(
        launched(command(desk, "two")), env=threads(), capture_output=True, text=True, timeout=6000
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert main(command(desk, "one")) == 0
    files = {path.name for path in (desk / "two").iterdir()}
    assert files == {path.name for path in (desk / "one").iterdir()}
    record = json.loads((desk / "two" / "environment.json").read_text())
    assert record["processes"] == 2
    rows = [
        [json.loads(line) for line in (desk / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(rows[0]) == len(rows[1]) == 2
    for one, two in zip(*rows, strict=True):
        for term in ("step", "total", "box", "objectness", "classes"):
            assert two[term] == pytest.approx(one[term], rel=1e-3)
    for name in ("last", "state"):
        one, two = (load_file(desk / run / f"{name}.safetensors") for run in ("one", "two"))
        assert one.keys() == two.keys()
        for key, tensor in one.items():
            if not key.startswith("optimizer."):
                torch.testing.assert_close(two[key], tensor, rtol=1e-3, atol=1e-4)


def test_a_signal_to_one_process_stops_both_after_the_same_update(desk: Path):
    arguments = command(desk, "stopped", {"epochs": 10_000, "save_minutes": 1e-9})
    with subprocess.Popen(
        launched(arguments), env=threads(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    ) as launcher:  # fmt: skip
        try:
            limit = time.monotonic() + 600
            while not (desk / "stopped" / "state.safetensors").exists():
                assert launcher.poll() is None, launcher.stderr.read()
                assert time.monotonic() < limit
                time.sleep(0.1)
            children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
            os.kill(int(children.split()[-1]), signal.SIGTERM)
            launcher.wait(timeout=600)
        finally:
            if launcher.poll() is None:
                os.killpg(launcher.pid, signal.SIGKILL)
    assert (desk / "stopped" / "last.safetensors").exists()
