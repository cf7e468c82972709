"""The command `scantling`, and `python -m scantling`."""

import atexit
import os
import sys

INTERRUPTED, NOT_WRITTEN = 130, 120  # as Python itself ends then


def run() -> None:
    """Run the command, and end the process as soon as everything is done.

    Python would first take apart all that was loaded: half a second for torch. Threads are waited
    for, and what libraries registered to be done at exit is done.
    """
    code = 1  # of an error that is a bug, after its traceback

    def leave() -> None:
        status = code
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:  # the disk is full, or nobody reads any more
                status = status or NOT_WRITTEN
            except (AttributeError, ValueError):  # there is none, or it is closed
                pass
        os._exit(status)

    atexit.register(leave)  # the first one registered is the last one called
    from .cli import main

    try:
        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    sys.exit(code)


if __name__ == "__main__":
    run()
