"""An image from a web server: bounded in time and in size, and never from anywhere but http(s)."""

import base64
import http.client
import queue
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from threading import Thread
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ..errors import InvalidSource

MAX_DOWNLOAD = 100 * 2**20  # bytes
TIMEOUT = 10.0  # seconds
STREAM_TYPES = re.compile(r"video/|multipart/x-mixed-replace|application/(.*mpegurl|dash\+xml)")


@dataclass(frozen=True)
class Answer:
    """What a server sent; `data` is left empty where it is a stream that has no end."""

    data: bytes
    content_type: str  # lower case, without parameters

    @property
    def is_stream(self) -> bool:
        """Whether it is a video or a camera rather than an image."""
        return bool(STREAM_TYPES.match(self.content_type))


def fetch(url: str, *, timeout: float = TIMEOUT, max_bytes: int = MAX_DOWNLOAD) -> Answer:
    """Download an image into memory. A redirect may lead to http and https only.

    Args:
        url: http or https; a user name and password in it are sent to its own server only.
        timeout: seconds for the whole download, however slowly the server drips.
        max_bytes: largest body that is read.

    Raises:
        InvalidSource: anything that went wrong, naming the URL without its password.
    """
    answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
    deadline = time.monotonic() + timeout

    def run() -> None:
        try:
            answers.put(_download(url, timeout=timeout, deadline=deadline, max_bytes=max_bytes))
        except Exception as error:  # handed to the caller, who explains it
            answers.put(error)

    # A socket's timeout begins anew with every byte; only a clock outside bounds the whole.
    Thread(target=run, name="scantling-fetch", daemon=True).start()
    name = without_password(url)
    try:
        answer = answers.get(timeout=timeout + 0.5)
    except queue.Empty:
        raise InvalidSource(name, f"no complete answer within {timeout:g} s") from None
    if isinstance(answer, Answer):
        return answer
    raise InvalidSource(name, _explain(answer, timeout)) from answer


def without_password(url: str) -> str:
    """The URL as it may be shown and logged."""
    return re.sub(r"(?<=://)([^/?#@:]*):[^/?#]*@", r"\1:***@", url)


def _download(url: str, *, timeout: float, deadline: float, max_bytes: int) -> Answer:
    with _opener().open(_request(url), timeout=timeout) as response:
        content_type = response.headers.get_content_type().lower()
        if Answer(b"", content_type).is_stream:
            return Answer(b"", content_type)
        declared = response.headers.get("Content-Length", "")
        expected = int(declared) if re.fullmatch(r"\d{1,18}", declared) else None
        too_large = f"more than the limit of {max_bytes:,} bytes"
        if expected is not None and expected > max_bytes:
            raise InvalidSource(url, f"the image has {expected:,} bytes, {too_large}")
        data = bytearray()
        while piece := response.read1(2**16):
            data += piece
            if len(data) > max_bytes:
                raise InvalidSource(url, f"the image has {too_large}")
            if time.monotonic() > deadline:
                raise TimeoutError
        if expected is not None and len(data) < expected:
            raise InvalidSource(url, f"the answer is cut off: {len(data):,} of {expected:,} bytes")
        return Answer(bytes(data), content_type)


def _opener() -> urllib.request.OpenerDirector:
    """As urllib's own, proxies included, but without file:, ftp: and data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise InvalidSource(url, f"{parts.scheme}: is not fetched; expected http or https")
    login, _, host = parts.netloc.rpartition("@")
    path = quote(parts.path, safe="%/:=&~+!$,;'@()*")  # what is quoted already stays
    query = quote(parts.query, safe="%/:=&?~+!$,;'@()*[]")
    headers = {"User-Agent": "scantling", "Accept": "image/*,*/*;q=0.5"}
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        urlunsplit((parts.scheme, host, path, query, "")), headers=headers
    )
    if login:
        token = base64.b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _explain(error: Exception, timeout: float) -> str:
    if isinstance(error, InvalidSource):
        return error.problem
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answered {error.code}: {error.reason}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no complete answer within {timeout:g} s"
    if isinstance(reason, OSError):
        return f"cannot be reached: {reason.strerror or reason}"
    if isinstance(error, (http.client.HTTPException, ValueError)):
        return f"is no URL that can be fetched, or its server speaks no HTTP: {error!r}"
    return f"cannot be fetched: {reason}"
