"""Several processes learn what one learns from the joint batch; two of them, over gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from one_process import CASES, normalise_case, share_case, train_case
from torch import Tensor, nn

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of two processes found."""
    out = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    running = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("one_process.py")), str(out)],
            env={**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=600)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    return [torch.load(out / f"{rank}-of-2.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_with_the_weights_of_one_with_the_joint_batch(
    together: list[Found], case: str
):
    alone = train_case(case, rank=0, processes=1)
    for found in together:
        for name, tensor in alone.items():
            if not name.startswith("loss."):
                torch.testing.assert_close(found[case][name], tensor, rtol=1e-4, atol=1e-5)
    # each tells its share of the joint loss: their mean is all of it
    for name in ("loss.0", "loss.1"):
        joint = torch.stack([found[case][name] for found in together]).mean()
        torch.testing.assert_close(joint, alone[name], rtol=1e-4, atol=1e-5)


def test_sync_norm_is_batch_norm_of_the_joint_batch(together: list[Found]):
    alone = normalise_case(nn.BatchNorm2d(5, momentum=0.3), rank=0, processes=1)
    for name in ("output", "gradient"):
        joint = torch.cat([found["norm"][name] for found in together])
        torch.testing.assert_close(joint, alone[name], rtol=1e-5, atol=1e-5)
    for found in together:
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(found["norm"][name], alone[name], rtol=1e-5, atol=1e-5)


def test_processes_share_the_images_of_an_evaluation_out(together: list[Found], tmp_path: Path):
    alone = share_case(Accelerator(cpu=True), tmp_path / "images")
    assert alone["seen"] == 5
    first, second = (found["share"] for found in together)
    assert (int(first["seen"]), int(second["seen"])) == (3, 2)
    assert first["places"].tolist() == alone["places"].tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(first["scores"], alone["scores"], rtol=1e-4, atol=1e-6)
    assert not len(second["places"])
