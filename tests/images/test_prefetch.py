"""Reading ahead keeps order and errors, is bounded, and leaves no thread behind."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from scantling.errors import InvalidValue
from scantling.images import prefetch


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "scantling-prefetch"]


def wait_for(condition: object, seconds: float = 300) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def test_items_come_in_order_and_the_thread_ends():
    assert list(prefetch(iter(range(1000)), depth=3)) == list(range(1000))
    assert not readers()


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_is_read_ahead_than_asked(depth):
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with closing(prefetch(items(), depth=depth)) as ahead:
        for number in range(10):
            assert next(ahead) == number
            assert wait_for(lambda expected=number + 1 + depth: len(taken) == expected)
            time.sleep(0.01)
            assert len(taken) == number + 1 + depth


def test_reading_goes_on_while_the_consumer_works():
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number

    for number in prefetch(items()):
        least = min(number + 1, 9)
        assert wait_for(lambda least=least: read[-1] >= least)


def test_an_error_comes_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("the cable is out")

    ahead = prefetch(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError, match="the cable is out"):
        next(ahead)
    assert list(ahead) == []
    assert not readers()


def test_closing_stops_the_reader_and_closes_what_it_read():
    closed = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    ahead = prefetch(items())
    next(ahead)
    ahead.close()
    assert closed == ["scantling-prefetch"]
    assert not readers()
    assert list(ahead) == []
    ahead.close()


def test_dropping_it_stops_the_reader():
    ahead = prefetch(iter(lambda: 0, 1))
    next(ahead)
    assert readers()
    del ahead
    gc.collect()
    assert wait_for(lambda: not readers())


def test_one_that_was_never_started_has_no_thread_and_closes_too():
    def items() -> Iterator[int]:
        yield 0

    source = items()
    prefetch(source).close()
    assert not readers()
    assert next(source, None) is None


def test_a_reader_that_hangs_does_not_hold_up_the_consumer():
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        released.wait()

    ahead = prefetch(items())
    next(ahead)
    ahead.close()
    assert readers()  # it still hangs
    released.set()
    assert wait_for(lambda: not readers())


def test_closing_waits_for_the_item_that_is_being_made_where_others_use_its_maker():
    made = []

    def items() -> Iterator[int]:
        yield 0
        time.sleep(1.2)  # longer than a reader of cameras is waited for
        made.append(1)
        yield 1

    ahead = prefetch(items(), patience=None)
    assert next(ahead) == 0
    assert wait_for(readers)
    ahead.close()
    assert made == [1]
    assert not readers()


def test_a_chain_closes_while_its_middle_waits_for_its_beginning():
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        released.wait()

    first = prefetch(items())
    second = prefetch(number + 1 for number in first)
    with closing(first), closing(second):
        assert next(second) == 1
    assert wait_for(lambda: len(readers()) <= 1)
    released.set()
    assert wait_for(lambda: not readers())


def test_depth_must_be_at_least_one():
    with pytest.raises(InvalidValue, match="depth is 0"):
        prefetch(iter([]), depth=0)
