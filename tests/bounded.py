"""A bound on what a test may take: what hangs or fills the memory fails, and ends nothing else."""

import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE = 60  # seconds: what is tested takes under one, or has no end


def _give_up(*_: object) -> None:
    pytest.fail(f"no end within {PATIENCE} seconds")


@contextmanager
def bounded(*, megabytes: float | None = None) -> Iterator[None]:
    """Fail if the block has no end; and, where it is given, if Python takes more memory."""
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE)
    if megabytes is not None:
        tracemalloc.start()
    try:
        yield
        if megabytes is not None:
            assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
