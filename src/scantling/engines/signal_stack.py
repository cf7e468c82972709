"""The memory on which signal handlers run, kept as it was while OpenVINO compiles.

`compile_model` gives the calling thread another one (seen in OpenVINO 2026.4 on Linux) and lets go
of it later. The next signal that has a handler, such as Ctrl-C or the end of a process of a data
loader, would then end Python with a segmentation fault. See sigaltstack(2).
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Give the calling thread the stack for signals back that it had before."""
    if not sys.platform.startswith("linux"):
        yield
        return
    library, before = ctypes.CDLL(None), _Stack()
    known = library.sigaltstack(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known:
            library.sigaltstack(ctypes.byref(before), None)
