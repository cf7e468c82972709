"""Cores and memory as a container has them: control groups of both versions, and the affinity."""

import os
from pathlib import Path

import pytest

from scantling import io
from scantling.engines import hardware
from scantling.engines.hardware import count_memory, find_processor, memory_limits
from scantling.io import count_cores

HOST = 64
V1 = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"


class Machine:
    """A made-up machine of 64 cores, its files, and the control group of this process."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        patch.setattr(io, "CONTROL_GROUPS", root)
        patch.setattr(io, "OWN_GROUPS", root / "own")
        patch.setattr(os, "sched_getaffinity", lambda _: set(range(HOST)), raising=False)
        patch.setattr(os, "cpu_count", lambda: HOST)

    def put(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, HOST),
        ({"own": "0::/\n", "cpu.max": "max 100000\n"}, HOST),
        ({"own": "0::/\n", "cpu.max": "200000 100000\n"}, 2),
        ({"own": "0::/\n", "cpu.max": "150000 100000\n"}, 2),
        ({"own": "0::/\n", "cpu.max": "50000 100000\n"}, 1),
        ({"own": "0::/\n", "cpu.max": "20000000 100000\n"}, HOST),
        ({"own": "0::/\n", "cpu.max": "nonsense\n"}, HOST),
        ({"own": "0::/\n", "cpu.max": ""}, HOST),
        ({"cpu.max": "300000 100000\n"}, 3),  # /proc is hidden
        # a group inside another: the smaller one holds, whichever it is
        ({"own": "0::/a/b\n", "a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ({"own": "0::/a/b\n", "a/cpu.max": "400000 100000", "a/b/cpu.max": "300000 100000"}, 3),
        # the path is that outside of the container, whose own group is mounted at the top
        ({"own": "0::/kubepods/pod1/x\n", "cpu.max": "200000 100000"}, 2),
        ({"own": "0::/../../outer\n", "cpu.max": "200000 100000"}, 2),
        # version 1, under either name of the folder, inside and outside
        ({"own": V1, "cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        (
            {
                "own": V1,
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "800000",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "200000",
            },
            4,
        ),
        ({"own": V1, "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, HOST),
        ({"own": V1, "cpu/cpu.cfs_quota_us": "5", "cpu/cpu.cfs_period_us": "0"}, HOST),
    ],
)
def test_a_quota_limits_the_cores(files: dict[str, str], cores: int, machine: Machine):
    machine.put(files)
    assert count_cores() == cores
    assert find_processor().cores == cores


def test_an_affinity_limits_them_too(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    machine.put({"own": "0::/\n", "cpu.max": "800000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    assert count_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert count_cores() == 8


def test_every_default_number_of_threads_follows_from_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    from scantling.cli.command import parse_streams
    from scantling.scaling.profiling.profiler import choose_runner

    machine.put({"own": "0::/\n", "cpu.max": "200000 100000\n"})
    assert parse_streams("auto", many=True) == 2
    assert choose_runner("torch", "cpu", "fp32", None).threads == 2
    assert hardware.describe_machine()["cores"] == 2


def test_torch_takes_no_more_threads_than_there_are_cores(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    torch = pytest.importorskip("torch")
    from scantling.engines.torch_engine import torch_threads, usual_threads

    told: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1] if told else HOST)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    with torch_threads(usual_threads()):
        assert told == []
    machine.put({"own": "0::/\n", "cpu.max": "200000 100000\n"})
    with torch_threads(usual_threads()):
        assert told == [2]
        with torch_threads(usual_threads()):
            assert told == [2]
    with torch_threads(5):  # asked for
        assert told == [2, HOST, 5]
    assert told == [2, HOST, 5, HOST]


def test_commands_tell_libraries_of_the_quota(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    from scantling.cli import main

    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert main(["--version"]) == 0
    assert not os.environ.keys() & set(names)
    machine.put({"own": "0::/\n", "cpu.max": "200000 100000\n"})
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the user's own word stands
    assert main(["--version"]) == 0
    assert [os.environ[name] for name in names] == ["2", "1", "2"]
    for name in names:
        monkeypatch.delenv(name)


def test_memory_is_that_of_the_container(machine: Machine):
    whole = count_memory()
    machine.put(
        {
            "own": "0::/a\n",
            "a/memory.max": "3000000",
            "a/memory.current": "2000000",
            "a/memory.stat": "anon 5\ninactive_file 500000\n",
            "memory.max": "max\n",
        }
    )
    assert list(memory_limits()) == [(3000000, 1500000)]
    assert count_memory() == min(whole, 3000000)
