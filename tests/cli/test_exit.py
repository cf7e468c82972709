"""The command ends at once when all is done, and everything is done by then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The command, in a program where something is registered to be done at exit, and a thread works on
RUN = """
import atexit, sys, threading, time
import scantling.cli
from scantling.__main__ import run

def work():
    time.sleep(0.3)
    sys.stdout.write("the thread is done\\n")  # not flushed

class Late:
    def __del__(self):
        print("Python took everything apart", flush=True)

def main():
    global late
    late = Late()
    atexit.register(sys.stdout.write, "at exit\\n")
    threading.Thread(target=work).start()
    if sys.argv[1] == "bug":
        raise LookupError("a bug")
    return int(sys.argv[1])

scantling.cli.main = main
run()
"""


@pytest.mark.parametrize(("what", "code"), [("0", 0), ("3", 3), ("bug", 1)])
def test_the_command_ends_when_all_is_done(what: str, code: int):
    done = subprocess.run([sys.executable, "-c", RUN, what], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout == "the thread is done\nat exit\n"
    assert ("LookupError: a bug" in done.stderr) == (what == "bug")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_output_that_cannot_be_written_is_no_success():
    environment = {name: one for name, one in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "scantling", "list", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment)
    assert done.returncode != 0
