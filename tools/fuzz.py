"""Give damaged files to every reader of untrusted input, and tell what did not hold.

    python tools/fuzz.py --minutes 60
    python tools/fuzz.py --reader onnx --seed 7 --inputs 500

Every reader is a row of `READERS` in fuzz_readers.py. Its inputs are mutations of valid files: bits
flipped, cut, parts repeated, numbers blown up, two files spliced. Input `n` of a reader depends on
the seed and `n` alone. A reader works in a process of its own, whose address space is bounded, and
has a bounded time for each input. It may read an input or refuse it with a `ScantlingError` of one
clean line; any other error, the end of the process or of its time is kept in the folder --keep: the
input, beside it what happened. Needs Linux.
"""

import argparse
import multiprocessing
import resource
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter

from fuzz_mutations import mutate
from fuzz_readers import READERS

READ, REFUSED = "read", "refused"
LONGEST_MESSAGE = 5000
STARTUP = 120.0  # seconds for a process to load its packages and make the valid files


@dataclass(frozen=True)
class Limits:
    """What one input may take: seconds, and bytes of address space of the process."""

    seconds: float
    memory: int


@dataclass
class Row:
    """What became of the inputs of one reader."""

    name: str
    tried: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    slowest_input: int = -1
    most_memory: int = 0  # KiB resident
    most_memory_input: int = -1

    def add(self, number: int, outcome: str, seconds: float, memory: int) -> None:
        """Count one input."""
        self.tried += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if seconds > self.slowest:
            self.slowest, self.slowest_input = seconds, number
        if memory > self.most_memory:
            self.most_memory, self.most_memory_input = memory, number

    @property
    def broken(self) -> int:
        """Inputs that were neither read nor refused."""
        return self.tried - self.outcomes.get(READ, 0) - self.outcomes.get(REFUSED, 0)


def attempt(read: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """Let a reader read one file: what became of it, and the message or the traceback."""
    from scantling.errors import ScantlingError

    try:
        read(path)
    except ScantlingError as error:
        told = str(error)
        if len(told) > LONGEST_MESSAGE or not all(c.isprintable() or c == "\n" for c in told):
            return "unclean message", repr(told)
        return REFUSED, told
    except BaseException as error:  # whatever it is
        return type(error).__name__, traceback.format_exc()
    return READ, ""


def work(
    name: str, seed: int, numbers: range, path: Path, keep: Path, memory: int, pipe: Connection
) -> None:
    """Go through inputs in this process; tell each when it begins, and what became of it.

    Args:
        name: of the reader.
        seed, numbers: of the inputs.
        path: where each is written.
        keep: folder for those that break the reader.
        memory: bytes of address space.
        pipe: to the process that watches.
    """
    reader = READERS[name]
    valid = reader.make_valid(path.parent)
    attempt(reader.read, _written(path, valid[0]))  # loads its packages
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    pipe.send("ready")
    for number in numbers:
        path.write_bytes(mutate(Random(f"{name} {seed} {number}"), valid))  # noqa: S311
        pipe.send(number)
        with suppress(OSError):  # the most that is resident, from here on: proc(5)
            Path("/proc/self/clear_refs").write_text("5")
        start = perf_counter()
        outcome, told = attempt(reader.read, path)
        seconds, most = perf_counter() - start, _most_resident()
        if outcome not in (READ, REFUSED):
            keep_input(keep, name, number, path, told)
        pipe.send((outcome, seconds, most))
    pipe.send(None)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _most_resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def fuzz(name: str, seed: int, inputs: int, end: float, limits: Limits, keep: Path) -> Row:
    """Try inputs of one reader until there are enough or the time is over.

    Args:
        name: of the reader.
        seed: of all its inputs.
        inputs: at most.
        end: by the clock `monotonic`.
        limits: of each input.
        keep: folder for inputs that break it.
    """
    row = Row(name)
    context = multiprocessing.get_context("fork")  # of a process that loaded nothing yet
    while row.tried < inputs and monotonic() < end:
        with TemporaryDirectory(prefix="fuzz-") as folder:
            ours, theirs = context.Pipe(duplex=False)
            path = Path(folder) / f"input{READERS[name].suffix}"
            numbers = range(row.tried, inputs)
            args = (name, seed, numbers, path, keep, limits.memory, theirs)
            child = context.Process(target=work, args=args)
            child.start()
            theirs.close()
            try:
                watch(row, ours, end, limits, path, keep)
            finally:
                child.kill()
                child.join()
    return row


def watch(row: Row, pipe: Connection, end: float, limits: Limits, path: Path, keep: Path) -> None:
    """Note what a process tells until it is done, breaks, or the time is over."""
    if not pipe.poll(STARTUP):
        raise SystemExit(f"{row.name}: no process is ready after {STARTUP:g} s")
    try:
        pipe.recv()
        while monotonic() < end:
            number = pipe.recv()
            if number is None:
                return None
            start = monotonic()
            if not pipe.poll(limits.seconds):
                row.add(number, "out of time", monotonic() - start, 0)
                return keep_input(
                    keep, row.name, number, path, f"no end after {limits.seconds:g} s"
                )
            try:
                outcome, seconds, memory = pipe.recv()
            except EOFError:
                row.add(number, "process ended", monotonic() - start, 0)
                return keep_input(keep, row.name, number, path, "the process ended")
            row.add(number, outcome, seconds, memory)
    except EOFError:
        raise SystemExit(f"{row.name}: its process ended between two inputs") from None
    return None


def keep_input(folder: Path, name: str, number: int, path: Path, told: str) -> None:
    """Keep an input that broke a reader, and what happened; say so."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{number}{path.suffix}"
    shutil.copy(path, target)
    target.with_name(f"{target.name}.told").write_text(told, "utf-8")
    print(f"{name} {number}: {told.strip().splitlines()[-1][:200]} (kept: {target})", flush=True)


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(
        f"{'reader':<16}{'tried':>9}{'read':>8}{'refused':>9}{'broken':>8}"
        f"{'slowest':>18}{'most memory':>22}"
    )
    for row in rows:
        slowest = f"{row.slowest:.2f} s (#{row.slowest_input})"
        memory = f"{row.most_memory / 1024:.0f} MiB (#{row.most_memory_input})"
        counts = row.outcomes.get(READ, 0), row.outcomes.get(REFUSED, 0)
        print(
            f"{row.name:<16}{row.tried:>9,}{counts[0]:>8,}{counts[1]:>9,}{row.broken:>8,}"
            f"{slowest:>18}{memory:>22}"
        )
        for outcome, count in sorted(row.outcomes.items()):
            if outcome not in (READ, REFUSED):
                print(f"{'':<16}{outcome}: {count:,}")


def main(argv: list[str] | None = None) -> int:
    """Fuzz the readers; 1 where an input broke one."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--reader", action="append", choices=sorted(READERS), help="all if none")
    parser.add_argument("--minutes", type=float, default=1.0, help="for all readers together")
    parser.add_argument("--inputs", type=int, default=1 << 40, help="of each reader at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0, help="that one input may take")
    parser.add_argument("--memory", type=float, default=8.0, help="GiB of address space")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="folder")
    asked = parser.parse_args(argv)
    names = asked.reader or sorted(READERS)
    print(f"seed {asked.seed}, {asked.seconds:g} s and {asked.memory:g} GiB for each input")
    limits = Limits(asked.seconds, int(asked.memory * (1 << 30)))
    rows: list[Row] = []
    last = monotonic() + 60 * asked.minutes
    for place, name in enumerate(names):
        share = (last - monotonic()) / (len(names) - place)
        rows.append(fuzz(name, asked.seed, asked.inputs, monotonic() + share, limits, asked.keep))
    show(rows)
    return int(any(row.broken for row in rows))


if __name__ == "__main__":
    sys.exit(main())
