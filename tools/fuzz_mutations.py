"""Mutations of valid files, for fuzz.py: what is done to bytes, whatever they mean."""

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")
NUMBERS = (
    b"0", b"-1", b"1e400", b"-1e400", b"nan", b"NaN", b"Infinity", b"1e-400", b"2147483648",
    b"9223372036854775808", b"-9223372036854775809", b"4294967296", b"9" * 400, b"9" * 5000,
    b"2305843009213693951", b"0x7f", b"1_0", b"00", b"65536", b"1048576", b"100000",
)  # fmt: skip
TOKENS = (
    b"\x00", b"\x1b[31m", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n\n", b"\t",
    b"[", b"]", b"{", b"}", b'"', b"'", b"<", b">", b"&amp;", b"]]>", b"<!DOCTYPE a []>", b"=",
    b"#", b"\\u0000", b"..", b"../", b"/dev/zero", b"null", b"true", b"&#0;", b"\xe2\x80\xae",
)  # fmt: skip
LONGEST = 4 << 20  # bytes of an input


def mutate(random: Random, valid: Sequence[bytes]) -> bytes:
    """One of the valid files with one to four mutations."""
    data = random.choice(valid)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        data = random.choice(MUTATIONS)(random, data, valid)[:LONGEST]
    return data


def flip_bits(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(data or b"\0")
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Overwrite one to eight bytes by one that is often an edge, such as a length of 2³² - 1."""
    place, count = _place(random, data), random.choice((1, 1, 2, 4, 8))
    byte = random.choice((b"\0", b"\xff", b"\x7f", b"\x80", bytes([random.randrange(256)])))
    return data[:place] + byte * count + data[place + count :]


def cut(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Cut off the end."""
    return data[: _place(random, data)]


def remove(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Take a part out."""
    start, end = _part(random, data)
    return data[:start] + data[end:]


def repeat(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat a part, seldom thousands of times."""
    start, end = _part(random, data)
    times = random.choice((1, 1, 1, 2, 50, 100_000))
    times = max(1, min(times, LONGEST // max(1, end - start)))
    return data[:end] + data[start:end] * times + data[end:]


def repeat_lines(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat a few lines, of a text, elsewhere."""
    lines = data.splitlines(keepends=True) or [b"\n"]
    start, place = random.randrange(len(lines)), random.randrange(len(lines))
    some = lines[start : start + random.choice((1, 1, 2, 5, 20))]
    return b"".join([*lines[:place], *some, *lines[place:]])


def blow_up(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Put another number in the place of one that is written in digits."""
    found = list(NUMBER.finditer(data, *_window(random, data)))
    if not found:
        return overwrite(random, data, ())
    one = random.choice(found)
    return data[: one.start()] + random.choice(NUMBERS) + data[one.end() :]


def insert(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Insert something that means something to a parser, seldom thousands of times."""
    place = _place(random, data)
    token = random.choice(TOKENS) * random.choice((1, 1, 1, 2, 5000, 100_000))
    return data[:place] + token + data[place:]


def splice(random: Random, data: bytes, valid: Sequence[bytes]) -> bytes:
    """The beginning of this, then a part or the end of another."""
    other = random.choice(valid)
    start, end = _part(random, other)
    place = _place(random, data)
    if random.random() < 0.5:
        return data[:place] + other[start:]
    return data[:place] + other[start:end] + data[place:]


Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, overwrite, cut, remove, repeat, repeat_lines, blow_up, insert, splice,
)  # fmt: skip


def _place(random: Random, data: bytes) -> int:
    """A place, as often near the beginning, where headers are, as anywhere."""
    return random.randint(0, min(len(data), random.choice((64, 1024, len(data)))))


def _part(random: Random, data: bytes) -> tuple[int, int]:
    start = _place(random, data)
    return start, min(len(data), start + random.choice((1, 4, 16, 64, 256, 4096)))


def _window(random: Random, data: bytes) -> tuple[int, int]:
    """Where to look: a large file is not searched through for each input."""
    start = max(0, _place(random, data) - 64)
    return start, start + 4096
