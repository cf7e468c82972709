"""A profile of a device that there is not, whose times follow a rule: for tests of the search."""

from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from scantling.scaling.device_profile import (
    ChainSample,
    DeviceProfile,
    Peak,
    Residuals,
    write_profile,
)
from scantling.scaling.latency.operation_table import CONVOLUTIONS, OperationTable
from scantling.scaling.profiling.random_chains import draw_chains
from scantling.scaling.profiling.torch_chain import count_chain

CHAINS = 44
UNSEEN = 0.1  # how far the latency model is said to be off


def seconds_of(table: OperationTable) -> float:
    """What a chain takes there."""
    convolves = table["kind"] < len(CONVOLUTIONS)
    each = np.where(convolves, table.macs / 5e10, table.moved * 4 / 2e10) + 5e-6
    return float((each * table["count"]).sum())


@cache
def chains() -> tuple[OperationTable, ...]:
    """What it was measured with."""
    return tuple(count_chain(chain) for chain in islice(draw_chains(3), CHAINS))


def write_device(
    path: Path, *, engine: str = "torch", factor: float = 1.0, error: float = UNSEEN
) -> Path:
    """The profile as a file; every time is multiplied by a factor, and said to be off so far."""
    samples = tuple(
        ChainSample(
            primitive="chain",
            operations=table.as_rows(),
            seconds=seconds_of(table) * factor,
            spread=0.02,
            unseen=UNSEEN if place % 2 else -UNSEEN,
        )
        for place, table in enumerate(chains())
    )
    profile = DeviceProfile(
        machine={"processor": "made up"},
        engine=engine,  # type: ignore[arg-type]
        engine_version="0",
        device="cpu",
        precision="fp32",
        threads=1,
        peak=Peak(macs_per_second=5e10, bytes_per_second=2e10, precision="fp32"),
        samples=samples,
        whole=Residuals(low=-UNSEEN, median=0.0, high=UNSEEN, error=error),
        created="2026-11-22",
        minutes=2.0,
    )
    write_profile(profile, path)
    return path
