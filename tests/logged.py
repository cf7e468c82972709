"""What the package logs, as lines."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        mark = "WARNING: " if record.levelno >= logging.WARNING else ""
        self.lines.append(mark + record.getMessage())


@contextmanager
def logged_lines() -> Iterator[list[str]]:
    """Lines that grow with what is logged, worded as the command line prints them."""
    logger, handler = logging.getLogger("scantling"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
