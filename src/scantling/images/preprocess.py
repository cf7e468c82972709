"""Reads and preprocesses a known list of image files, in threads or processes, in order."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TypeVar

from ..errors import InvalidSource, InvalidValue, WorkerLost
from .crops import (
    InferencePlan,
    NetworkInput,
    PreparedImage,
    Size,
    make_crops,
    preprocess,
    rectangular_canvas,
)
from .headers import read_header
from .read import Frame, read_bytes, read_image

THREADS = 2  # that read and decode where no process does

# A file to be read: its place in the caller's list, its path, and the canvas that it is put on,
# where that is not the network's usual size.
FileTask = tuple[int, str, Size | None]

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FilePreprocessor:
    """Reads and preprocesses a file; travels to the processes that do it."""

    plan: InferencePlan
    network_input: NetworkInput
    pad_value: int | tuple[int, int, int]

    def __call__(self, task: FileTask) -> PreparedImage:
        """Read and decode one file, and make its crops."""
        index, path, canvas = task
        start = perf_counter()
        try:
            image = read_image(path)
        except InvalidSource as error:
            frame = Frame(path, problem=error.problem, index=index)
            return PreparedImage(frame, read=perf_counter() - start)
        middle = perf_counter()
        original = (image.shape[0], image.shape[1])
        crops = make_crops(original, self.plan, self.network_input, canvas=canvas)
        frame = Frame(path, index=index, original=original)
        # tiles overlap: together they are larger than the image, which may have very many of them
        if self.plan.tile is not None:
            spent = perf_counter() - middle
            return PreparedImage(frame, crops, image, read=middle - start, preprocess=spent)
        made = tuple(preprocess(image, crop, pad_value=self.pad_value) for crop in crops)
        return PreparedImage(
            frame, crops, canvases=made, read=middle - start, preprocess=perf_counter() - middle
        )


class Pool:
    """Threads that work in parallel; each of them by a process of its own, if there are any.

    A process has a pipe to itself: if it is killed, even halfway through an answer, the pipe ends,
    and nobody waits for ever.
    """

    def __init__(self, workers: int) -> None:
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._ends: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        self._threads = ThreadPoolExecutor(workers or THREADS, "scantling-read")
        self._is_apart = workers > 0
        for _ in range(workers):
            self._start_process()

    def submit(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        """Start `work(task)`. Both, and the result, travel to a process as a pickle."""
        if self._is_apart:
            return self._threads.submit(self._ask, work, task)
        return self._threads.submit(work, task)

    def close(self) -> None:
        """End all processes and threads, and wait until they have."""
        for process in self._processes:
            process.terminate()  # the thread that waits for its answer wakes
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.join()
        for end in self._ends:
            end.close()

    def _start_process(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends with the process
        self._processes.append(process)
        self._ends.append(ours)
        self._idle.put(ours)

    def _ask(self, work: Callable[[Task], Result], task: Task) -> Result:
        """Have an idle process do it."""
        connection = self._idle.get()
        try:
            connection.send((work, task))
            result: Result = connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost from error
        finally:
            self._idle.put(connection)
        return result


@contextmanager
def open_pool(workers: int) -> Iterator[Pool]:
    """Processes that read files, or threads if `workers` is 0; all have ended when it is left.

    Processes are started afresh and load neither torch nor what the program holds in memory. A
    script that uses them needs `if __name__ == "__main__":` around what it does.

    Raises:
        InvalidValue: `workers` is negative.
    """
    if workers < 0:
        raise InvalidValue("workers", workers, "0 for threads, or the number of processes")
    pool = Pool(workers)
    try:
        yield pool
    finally:
        pool.close()


def run_ahead(
    tasks: Iterable[Task], work: Callable[[Task], Result], pool: Pool, *, ahead: int
) -> Generator[Result, None, None]:
    """`map(work, tasks)` by a pool, in order, with at most `ahead` results waiting or on their way.

    Raises:
        WorkerLost: a process of the pool was ended from outside.
    """
    pending: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(work, task))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def plan_batches(
    paths: list[str], network_input: NetworkInput, pool: Pool, *, batch_size: int
) -> list[FileTask]:
    """Order files by their shape, so that those of a batch fit one small canvas.

    Only the size of each is found out here; what has none comes last.

    Raises:
        InvalidValue: as for `rectangular_canvas`.
        WorkerLost: as for `run_ahead`.
    """
    sizes = list(run_ahead(paths, read_size, pool, ahead=64))
    sized = [(size, index) for index, size in enumerate(sizes) if size is not None]
    # by height over width: along this order the canvases change as little as they can
    sized.sort(key=lambda one: (one[0][0] / one[0][1], one[1]))
    tasks: list[FileTask] = []
    for start in range(0, len(sized), batch_size):
        batch = sized[start : start + batch_size]
        canvas = rectangular_canvas([size for size, _ in batch], network_input)
        tasks += [(index, paths[index], canvas) for _, index in batch]
    unsized = [index for index, size in enumerate(sizes) if size is None]
    return tasks + [(index, paths[index], None) for index in unsized]


def read_size(path: str) -> Size | None:
    """(height, width) of an image file, upright, without decoding it; None where it has none."""
    try:
        header = read_header(read_bytes(path), path)
    except InvalidSource:
        return None
    height, width = header.size if header.orientation < 5 else header.size[::-1]
    return (height, width) if height and width else None


def end_with_parent() -> None:
    """Let this process end as soon as the program that it works for does, however that ends.

    Called in a process that `multiprocessing` started. It waits for the pipe that lies between the
    two. Its parent, in the sense of the system, may be another: with `forkserver` that is a server
    which lives as long as anybody that it started.
    """
    program = parent_process()
    if program is None:
        return

    def watch() -> None:
        program.join()
        os._exit(1)  # nobody waits for what is still to be done

    Thread(target=watch, name="scantling-parent", daemon=True).start()


def _serve(connection: Connection) -> None:
    """What a process does: answer until the program closes the pipe, or is no more."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends this
    try:
        while True:
            work, task = connection.recv()
            connection.send(work(task))
    except (EOFError, OSError):
        return
