"""Downloads over a real connection to a server on this machine."""

import hashlib
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scantling.checkpoints.download import download
from scantling.checkpoints.hub import MANUAL_DOWNLOADS, OFFICIAL, fetch_weights
from scantling.errors import DownloadFailed, UnknownName
from scantling.specs import CATALOG

DATA = bytes(range(256)) * 20_000  # 5 MB
PUBLISHERS = (
    "https://github.com/AlexeyAB/darknet/releases/",
    "https://github.com/rwightman/efficientdet-pytorch/releases/",
)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA; how well it behaves is set by its attributes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []  # (path, Range header)
        self.knows_ranges = True
        self.refuses_empty_ranges = False
        self.break_after = []  # bytes after which the connection breaks, request by request
        self.data = DATA

    def handle_error(self, request, client_address):
        """A client that leaves is no news."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.weights"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/redirect/"))
            self.end_headers()
            return
        if self.path != "/file.weights":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(server.data) and server.refuses_empty_ranges:
            self.send_error(416)
            return
        if wanted and server.knows_ranges:
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}"
            )
        else:
            start = 0
            self.send_response(200)
        body = server.data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.break_after:
            body = body[: server.break_after.pop(0)]
        self.wfile.write(body)


@pytest.fixture
def server():
    found = Server()
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "file.weights"


def fetch(server, target, **options):
    download(server.url, target, **({"size": len(DATA), "sha256": SHA256} | options))


def files(target):
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def test_file_arrives_whole_and_alone(server, target):
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert files(target) == ["file.weights"]


def test_file_that_is_there_is_not_fetched_again(server, target):
    fetch(server, target)
    fetch(server, target)
    assert len(server.requests) == 1


def test_progress_goes_up_to_all(server, target):
    seen = []
    fetch(server, target, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(DATA), len(DATA))


def test_first_digits_of_a_sha256_do_where_the_size_is_unknown(server, target):
    server.break_after = [1_000_000]
    seen = []
    options = {"size": None, "sha256": SHA256[:8]}
    fetch(server, target, **options, progress=lambda done, total: seen.append((done, total)))
    fetch(server, target, **options)
    assert target.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [wanted for _, wanted in server.requests] == [None, "bytes=1000000-"]


def test_part_of_unknown_size_that_is_whole_is_kept(server, target):
    server.refuses_empty_ranges = True
    target.parent.mkdir()
    target.with_name("file.weights.part").write_bytes(DATA)
    fetch(server, target, size=None, sha256=SHA256[:8])
    assert files(target) == ["file.weights"]


def test_another_file_is_refused_by_the_first_digits_of_its_sha256(server, target):
    server.data = DATA[:-1]
    with pytest.raises(DownloadFailed, match=f"not {SHA256[:8]}….*another file"):
        fetch(server, target, size=None, sha256=SHA256[:8])
    assert files(target) == []


def test_broken_connection_is_resumed_where_it_broke(server, target):
    server.break_after = [1_000_000]
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert [wanted for _, wanted in server.requests] == [None, "bytes=1000000-"]


def test_part_of_an_earlier_run_is_resumed(server, target):
    server.break_after = [500_000, 500_000, 500_000]
    with pytest.raises(DownloadFailed, match=f"1500000 of {len(DATA)} bytes are kept"):
        fetch(server, target)
    assert files(target) == ["file.weights.part"]
    fetch(server, target)
    assert target.read_bytes() == DATA
    assert server.requests[-1][1] == "bytes=1500000-"


def test_server_without_ranges_starts_again(server, target):
    server.knows_ranges = False
    server.break_after = [1_000_000]
    fetch(server, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("leftover", [b"x" * (len(DATA) + 5), b"x" * len(DATA), b"x" * 99])
def test_leftover_of_another_file_is_never_taken(server, target, leftover):
    target.parent.mkdir()
    target.with_name("file.weights.part").write_bytes(leftover)
    with pytest.raises(DownloadFailed, match="it is another file"):
        fetch(server, target)
    assert files(target) == []
    fetch(server, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (DATA[:-1] + b"!", "sha256"),
        (DATA + b"!", f"more than {len(DATA)} bytes"),
        (DATA * 100, f"more than {len(DATA)} bytes"),
    ],
)
def test_another_file_is_refused_and_thrown_away(server, target, data, match):
    server.data = data
    with pytest.raises(DownloadFailed, match=match):
        fetch(server, target)
    assert files(target) == []


def test_shorter_file_is_refused(server, target):
    server.data = DATA[:1000]
    with pytest.raises(DownloadFailed, match=f"1000 of {len(DATA)} bytes"):
        fetch(server, target)
    assert not target.exists()


def test_wrong_size_is_refused_where_no_sha256_is_known(server, target):
    server.data = DATA + b"!"
    with pytest.raises(DownloadFailed, match="bytes"):
        fetch(server, target, sha256=None)


def test_wrong_file_in_the_cache_is_named_and_left_alone(server, target):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(DownloadFailed, match=f"Delete {target}"):
        fetch(server, target)
    assert target.read_bytes() == b"mine"


def test_offline_says_where_to_put_the_file_by_hand(server, target):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadFailed) as caught:
        download(url, target, size=1)
    assert url in str(caught.value)
    assert str(target) in str(caught.value)
    assert "refused" in str(caught.value)


def test_missing_file_says_what_the_server_answers(server, target):
    with pytest.raises(DownloadFailed, match="404"):
        download(server.url + "x", target, size=1)


def test_redirects_are_followed_but_only_to_the_web(server, target):
    base = server.url.removesuffix("/file.weights")
    download(f"{base}/redirect/{server.url}", target, size=len(DATA), sha256=SHA256)
    assert target.read_bytes() == DATA
    for elsewhere in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        other = target.with_name("other")
        with pytest.raises(DownloadFailed):
            download(f"{base}/redirect/{elsewhere}", other, size=1)
        assert not other.exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "data:,x"])
def test_only_the_web_is_fetched_from(target, url):
    with pytest.raises(DownloadFailed, match="neither http nor https"):
        download(url, target, size=1)


def test_many_at_once_fetch_once(server, target):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch(server, target), range(4)))
    assert target.read_bytes() == DATA
    assert len(server.requests) == 1


def test_server_that_says_nothing_times_out(target):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DownloadFailed, match="timed out"):
            download(url, target, size=1, timeout=0.1)


@pytest.mark.usefixtures("real_assets")
def test_official_weights_are_taken_from_the_cache(assets, tmp_path):
    cached = tmp_path / "yolov4-tiny.weights"
    cached.write_bytes((assets / "weights/yolov4-tiny-coco/yolov4-tiny.weights").read_bytes())
    assert fetch_weights("yolov4-tiny", cache=tmp_path) == cached


def test_damaged_official_weights_are_refused(assets, tmp_path):
    data = bytearray((assets / "weights/yolov4-tiny-coco/yolov4-tiny.weights").read_bytes())
    data[-1] ^= 1
    (tmp_path / "yolov4-tiny.weights").write_bytes(data)
    with pytest.raises(DownloadFailed, match="sha256"):
        fetch_weights("yolov4-tiny", cache=tmp_path)


@pytest.mark.parametrize("name", CATALOG)
def test_every_model_has_weights_or_says_what_to_do(name, tmp_path):
    if name in OFFICIAL:
        assert OFFICIAL[name].url.startswith(PUBLISHERS)
        return
    with pytest.raises(DownloadFailed, match=f"--model {name} --weights FILE") as caught:
        fetch_weights(name, cache=tmp_path)
    assert name not in MANUAL_DOWNLOADS or MANUAL_DOWNLOADS[name] in str(caught.value)


def test_unknown_model_suggests_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'yolov4-tiny'"):
        fetch_weights("yolov4_tiny", cache=tmp_path)
