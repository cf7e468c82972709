"""Commands that get a signal at a point of their own: no watcher comes too late."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import torch

DOOMED = """
import os, signal, sys, threading
from scantling.cli import main

file, left, number, group, delay = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])

def watch(event, arguments):
    global left
    if event == "os.rename" and os.path.abspath(arguments[1]) == file:
        left -= 1
        if left == -1 and delay:
            threading.Timer(delay, os.kill, (os.getpid(), number)).start()
        elif left == -1:
            os.kill(0 if group else os.getpid(), number)

sys.addaudithook(watch)
sys.exit(main(sys.argv[6:]))
"""


def run_doomed(
    arguments: list[str],
    file: Path,
    times: int,
    number: int = signal.SIGKILL,
    *,
    group: bool = False,
    delay: float = 0.0,
) -> tuple[int, str]:
    """The exit status and the messages of a command that gets a signal as it saves a file.

    Args:
        arguments: of the command.
        file: the signal comes as it would put this file in its place once more.
        times: how often it has done so by then.
        number: of the signal.
        group: send it to all processes that the command started, as a terminal does.
        delay: seconds until it comes.
    """
    given = [str(file.absolute()), str(times), str(int(number)), str(int(group)), str(delay)]
    command = [sys.executable, "-c", DOOMED, *given, *arguments]
    with TemporaryFile("w+") as said:  # a pipe ends only with the last process that has it
        done = subprocess.run(
            command,
            env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},  # sums depend on it
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        said.seek(0)
        return done.returncode, said.read()
