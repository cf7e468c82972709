"""Ctrl-C and SIGTERM as a request to stop a run after its update, with everything saved."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stop:
    """The request of a signal to stop: calling it says whether one came.

    Args:
        code: the exit code, once one came.
        before: the handlers that held before, by signal.
    """

    code: int = 0
    before: dict[int, Any] = field(default_factory=dict)

    def __call__(self) -> bool:
        return bool(self.code)

    def handle(self, number: int, _: object) -> None:
        """The first signal is noted; with the second, what was set before holds again."""
        self.code = 128 + number
        # written past all buffers: a signal may come in the middle of a print
        os.write(2, b"\nscantling: ends after this update; once more to end at once\n")
        self.put_back()
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what ends in &
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def put_back(self) -> None:
        """Let the handlers that were there before hold again."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request; the second ends the program at once.

    What it yields is given to a run, and says in `code` how the program is to end:

    >>> with stop_signals() as stop:  # doctest: +SKIP
    ...     for event in run.events(stop=stop):
    ...         print(event)
    """
    stop = Stop()
    if threading.current_thread() is threading.main_thread():  # no other may set a handler
        for number in (signal.SIGINT, signal.SIGTERM):
            stop.before[number] = signal.signal(number, stop.handle)
    try:
        yield stop
    finally:
        stop.put_back()
