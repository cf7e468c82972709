"""Images from web servers that are honest, slow, endless, or up to something."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import PIL.Image
import pytest

from scantling.errors import InvalidSource
from scantling.images import Limits, count_images, read_sources
from scantling.images.fetch import fetch, without_password

PICTURE = np.full((4, 6, 3), 200, np.uint8)


def png() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(PICTURE).save(file, "PNG")
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers by path; `server.seen` keeps what was asked for and with which headers."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        route = self.path.split("?")[0].lstrip("/").split("/")[0]
        getattr(self, f"send_{route}", self.send_missing)()

    def reply(self, body: bytes, *, kind: str = "image/png", length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def send_image(self) -> None:
        self.reply(png(), length=len(png()))

    def send_page(self) -> None:
        self.reply(b"<!doctype html><p>log in first", kind="text/html")

    def send_missing(self) -> None:
        self.send_error(404)

    def send_stalled(self) -> None:
        self.server.released.wait()

    def send_dripping(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.released.wait(0.05):
            self.wfile.write(b"x")

    def send_dripping_headers(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        while not self.server.released.wait(0.05):
            self.wfile.write(b"x")

    def send_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.released.is_set():
            self.wfile.write(bytes(65536))

    def send_declared(self) -> None:
        self.reply(b"", length=10**12)

    def send_short(self) -> None:
        self.reply(png()[:20], length=len(png()))

    def send_to_file(self) -> None:
        self.redirect("file:///etc/passwd")

    def send_to_ftp(self) -> None:
        self.redirect("ftp://127.0.0.1:9/a.jpg")

    def send_to_image(self) -> None:
        self.redirect("/image")

    def send_in_circles(self) -> None:
        self.redirect("/in_circles")

    def send_nonsense(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # clients that hang up are what is tested
        server.seen, server.released = [], threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> Callable[[str], str]:
    return lambda path: f"http://127.0.0.1:{server.server_port}/{path}"


@pytest.mark.parametrize("path", ["image", "image/größe und 寸.png?q=ä b", "to_image"])
def test_an_image_is_read_from_the_web(url, path):
    (frame,) = read_sources(url(path))
    assert frame.problem is None
    np.testing.assert_array_equal(frame.image, PICTURE)
    assert count_images([url(path)]) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "the server answered 404"),
        ("page", "a web page"),
        ("to_file", "file:///etc/passwd"),
        ("to_ftp", "unknown url type: ftp"),
        ("in_circles", "infinite loop"),
        ("short", "cut off: 20 of"),
        ("declared", "1,000,000,000,000 bytes, more than the limit of 100,000"),
        ("endless", "more than the limit of 100,000 bytes"),
        ("nonsense", "speaks no HTTP"),
    ],
)
def test_what_the_web_gives_instead_is_a_problem(url, path, message):
    limits = Limits(max_download=100_000, timeout=60)
    first, second = read_sources([url(path), url("image")], limits=limits)
    assert first.name == url(path)
    assert message in first.problem
    assert second.problem is None


@pytest.mark.parametrize("path", ["stalled", "dripping", "dripping_headers"])
def test_a_server_that_takes_for_ever_is_left(url, path):
    (frame,) = read_sources(url(path), limits=Limits(timeout=0.5))
    assert "no complete answer within 0.5 s" in frame.problem


def test_a_server_that_is_not_there_is_a_problem():
    (frame,) = read_sources("http://127.0.0.1:9/a.jpg")
    assert "cannot be reached: Connection refused" in frame.problem


def test_a_password_reaches_its_server_and_nothing_else(url, server):
    address = url("to_image").replace("://", "://me:s%40cret@")
    (frame,) = read_sources(address)
    assert frame.problem is None
    assert frame.name == url("to_image").replace("://", "://me:***@")
    (_, first), (_, redirected) = server.seen
    assert first["Authorization"] == "Basic bWU6c0BjcmV0"  # me:s@cret
    assert "Authorization" not in redirected
    (failed,) = read_sources(url("missing").replace("://", "://me:s%40cret@"))
    assert "cret" not in failed.name + failed.problem


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("rtsp://admin:pw@1.2.3.4:554/live?x=a:b@c", "rtsp://admin:***@1.2.3.4:554/live?x=a:b@c"),
        ("rtsp://admin:p@w@1.2.3.4/live", "rtsp://admin:***@1.2.3.4/live"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://user@host/a", "http://user@host/a"),
    ],
)
def test_a_password_is_never_shown(given, shown):
    assert without_password(given) == shown


@pytest.mark.parametrize("address", ["file:///etc/passwd", "data:image/png;base64,AAAA"])
def test_nothing_but_http_is_fetched(address):
    with pytest.raises(InvalidSource, match="expected http or https"):
        fetch(address)
