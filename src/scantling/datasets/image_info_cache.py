"""An SQLite cache of image info, keyed by path and invalidated by any change of the file."""

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)

# Part of the file's name: another layout of `ImageInfo` never reads this one's rows.
SCHEME = 1
NAME = f"image-facts-{SCHEME}.sqlite"
BUSY_SECONDS = 10.0  # how long to wait for another run to finish writing
BATCH = 200  # rows that one transaction writes, and at most as many are lost in a kill
# A file as young as this is not remembered: it could be written once more within the same tick of
# the clock and keep its size, and no signature would tell.
SETTLE_SECONDS = 2.0

# (size, mtime_ns, ctime_ns, inode): the time of last change cannot be set back by a program, and
# a file that was put in place of another has an inode of its own.
Signature = tuple[int, int, int, int]


def sign(path: Path) -> Signature | None:
    """The signature of a file, which any change of it changes; None where it is gone."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class ImageInfoCache:
    """A cache of plain values by path, valid while the signature of the file is the same.

    SQLite's own journal makes it safe: several runs may use one at a time, and a run may be killed
    at any moment. Where it cannot be used (damaged, read-only, a full disk) it says so once and
    remembers nothing; it is never an error.

    Args:
        folder: to keep it in, made where it is missing; None to remember nothing.
        tag: what else the values depend on, such as the version of a decoder.
        settle_seconds: how old a change of a file must be for the file to be remembered.
    """

    def __init__(
        self, folder: Path | None, *, tag: str = "", settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._tag = tag
        self._settle = settle_seconds
        self._waiting: list[tuple[str, str, str]] = []
        self._path = None if folder is None else folder / NAME
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(
                    self._path, timeout=BUSY_SECONDS, isolation_level=None
                )
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS facts"
                    " (path TEXT PRIMARY KEY, signature TEXT NOT NULL, value TEXT NOT NULL)"
                )
            except (OSError, sqlite3.Error) as error:
                self._give_up(error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write()  # an interrupted run too keeps what it found out
        if self._database is not None:
            self._database.close()
            self._database = None

    def find(self, signatures: Mapping[Path, Signature | None]) -> dict[Path, object]:
        """Look up the values of files whose signature has not changed."""
        found: dict[Path, object] = {}
        if self._database is None:
            return found
        try:
            for path, signature in signatures.items():
                row = self._database.execute(
                    "SELECT signature, value FROM facts WHERE path = ?", (_key(path),)
                ).fetchone()
                if row is not None and signature is not None and row[0] == self._stamp(signature):
                    found[path] = json.loads(row[1])
        except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
            self._give_up(error)
        return found

    def add(self, path: Path, signature: Signature | None, values: object) -> None:
        """Remember the values, unless the file has changed since it was signed, or only just.

        Args:
            path: of the file.
            signature: what `sign` gave before the file was read.
            values: that JSON can hold.
        """
        if self._database is None or signature is None or sign(path) != signature:
            return
        if abs(time.time_ns() - signature[2]) < self._settle * 1e9:
            return
        self._waiting.append((_key(path), self._stamp(signature), json.dumps(values)))
        if len(self._waiting) >= BATCH:
            self._write()

    def _stamp(self, signature: Signature) -> str:
        return " ".join([*map(str, signature), self._tag])

    def _write(self) -> None:
        rows, self._waiting = self._waiting, []
        if self._database is None or not rows:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Go on without the cache. It is not repaired: another run may be using it."""
        if self._database is not None:
            self._database.close()
            self._database = None
        logger.info(
            f"the cache {self._path} cannot be used ({error}); images are read again."
            " Delete it if it is damaged"
        )


def _key(path: Path) -> str:
    """The absolute path, in letters that SQLite takes whatever bytes the name holds."""
    return json.dumps(str(path.absolute()))
