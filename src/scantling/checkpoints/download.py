"""Download files: resumed, verified by size and sha256, and written atomically.

No library is used: pooch and torch.hub neither resume, nor check a file of which only the size or
the first digits of the sha256 were published (pooch), nor let two processes wait for each other.
"""

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from ..errors import DownloadFailed
from ..io import open_regular

Progress = Callable[[int, int], None]  # bytes so far, bytes in all

CHUNK = 2**20
ATTEMPTS = 3


def download(
    url: str,
    target: Path,
    *,
    size: int | None,
    sha256: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> None:
    """Download `url` to `target`, unless it exists.

    What arrived before the connection broke stays in a `.part` file and is not fetched again. Two
    processes that want the same file wait for each other.

    Args:
        url: http or https.
        target: must have `size` bytes and `sha256`, if it exists.
        size: of the file, in bytes; None where it is unknown, and `sha256` must do.
        sha256: of the file, in hexadecimal, or its first digits; None where it is unknown, and the
            size must do.
        progress: called with the bytes so far and in all.
        timeout: seconds without a byte until a connection counts as broken.

    Raises:
        DownloadFailed: no connection, or not the expected file; says where to put it by hand.
    """
    by_hand = f"Check the connection and try again, or fetch it by hand and put it at {target}"
    if not url.startswith(("http://", "https://")):
        raise DownloadFailed(url, "it is neither http nor https", "Use an address that is")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_process(target.with_name(f"{target.name}.lock")):
            if not target.exists():
                part = target.with_name(f"{target.name}.part")
                _fetch(_Transfer(url, part, size, progress, timeout))
                _check(url, part, size, sha256)
                part.replace(target)
                return
    except (OSError, http.client.HTTPException) as error:
        raise DownloadFailed(url, _explain(error), by_hand) from error
    _check(url, target, size, sha256)


@dataclass(frozen=True)
class _Transfer:
    """A file on its way: address, where its bytes go, and how to get them."""

    url: str
    part: Path
    size: int | None
    progress: Progress | None
    timeout: float

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0


def _fetch(transfer: _Transfer) -> None:
    """Download into `part`, reconnecting where the connection breaks."""
    total = transfer.size
    for attempt in range(ATTEMPTS):
        try:
            total = _fetch_once(transfer)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and transfer.size is None:
                return  # nothing comes after what is there: `_check` will tell whether it is whole
            raise
        except (OSError, http.client.HTTPException):
            if attempt + 1 == ATTEMPTS:
                raise
        if total is not None and transfer.part.exists() and transfer.done >= total:
            return
        if attempt + 1 < ATTEMPTS:
            time.sleep(0.2 * 2**attempt)
    raise ConnectionError(
        f"the connection broke {ATTEMPTS} times; {transfer.done} of {total} bytes are kept"
    )


def _fetch_once(transfer: _Transfer) -> int:
    """Append to `part` over one connection; returns the size of the whole file."""
    url, size, done = transfer.url, transfer.size, transfer.done
    if size is not None and done >= size:
        return size
    request = urllib.request.Request(url, headers={"User-Agent": "scantling"})  # noqa: S310 (checked)
    if done:
        request.add_header("Range", f"bytes={done}-")
    with _opener().open(request, timeout=transfer.timeout) as response:
        if url.startswith("https://") and not response.url.startswith("https://"):
            raise DownloadFailed(url, f"it leads to {response.url}, without https", "Report this")
        if not _continues(response, done):
            done = 0
        total = _announced(url, response, done) if size is None else size
        with transfer.part.open("ab" if done else "wb") as stream:
            _copy(response, stream, done, total, transfer.progress)
    return total


def _announced(url: str, response: Any, done: int) -> int:
    """Size of the whole file, as the server announces it."""
    rest = response.headers.get("Content-Length", "")
    if not rest.isdecimal():
        raise DownloadFailed(url, "the server does not say how large it is", "Fetch it by hand")
    return done + int(rest)


def _continues(response: Any, done: int) -> bool:
    """Whether the server resumes; many send the whole file again."""
    start = response.headers.get("Content-Range", "").removeprefix("bytes").strip()
    return response.status == 206 and done > 0 and start.startswith(f"{done}-")


def _copy(
    response: Any, stream: IO[bytes], done: int, size: int, progress: Progress | None
) -> None:
    """Copy at most one byte more than `size`, enough to detect another file."""
    while done <= size:
        chunk = response.read(min(CHUNK, size + 1 - done))
        if not chunk:
            return
        stream.write(chunk)
        done += len(chunk)
        if progress:
            progress(min(done, size), size)


def _check(url: str, path: Path, size: int | None, sha256: str | None) -> None:
    """Raise for a file of other size or sha256; delete it if it is our `.part`."""
    actual = path.stat().st_size
    problem = ""
    if size is not None and actual != size:
        problem = f"{path} has {actual if actual < size else f'more than {size}'} bytes, not {size}"
    elif sha256 is not None:
        with open_regular(path) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if not digest.startswith(sha256):
            rest = "" if len(sha256) == len(digest) else "…"
            problem = f"{path} has the sha256 {digest}, not {sha256}{rest}"
    if problem:
        is_ours = path.suffix == ".part"
        if is_ours:
            path.unlink()
        raise DownloadFailed(
            url, f"{problem}: it is another file", "Try again" if is_ours else f"Delete {path}"
        )


def _opener() -> urllib.request.OpenerDirector:
    """URL opener for http and https only, with redirects and proxies."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _explain(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or error
    return str(reason)[:200] or type(error).__name__


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    """Hold a lock on `path` between processes; it is released when the process ends."""
    with path.open("ab") as stream:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
