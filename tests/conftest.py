"""Where weights and images are, what a test needs, and how many threads it may take."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from logged import logged_lines
from markers import find_absent
from once import make_once
from scantling.engines.openvino_engine import keep_signal_stack

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a core: threads would only wait for another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test depends on how fast or busy the machine is.
if find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any-machine")

# A shell starts what runs in the background with Ctrl-C ignored; what tests start inherits that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Commands run their networks in torch, so that what is compared is exact and nothing is converted;
# what runs elsewhere says so itself.
os.environ["SCANTLING_ENGINE"] = "torch"


# Tests that import OpenVINO themselves report it to nobody, as the package does.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


REAL = Path(os.environ.get("SCANTLING_ASSETS", ROOT.parent / "shared" / "assets"))


@pytest.fixture(scope="session")
def real_assets() -> Path:
    """The folder of real weights, images and reference results; absent, the test is skipped.

    In continuous integration (`CI=true`) absence is a failure: a run that checks less must not
    look like one that checks all.
    """
    if not REAL.is_dir():
        message = f"no assets at {REAL}; set SCANTLING_ASSETS to the folder that holds them"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return REAL


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights and images: the real ones, or what stands in for them."""
    if REAL.is_dir():
        return REAL
    from stand_in import make_stand_in  # late: it needs torch, and the tests of a board have none

    return make_once(tmp_path_factory, "stand-in", make_stand_in)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the package logs during a test."""
    with logged_lines() as lines:
        yield lines


HEAVY = (
    "effdet", "nncf", "onnx", "onnxruntime", "openvino", "pycocotools", "ray", "scipy",
    "supervision", "timm", "torchvision",
)  # fmt: skip
LOADED = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Look for no garbage while collecting, nor later in what that made: a tenth of a run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which heavy packages collecting has loaded: a test asserts that there are none."""
    session.stash[LOADED] = [name for name in HEAVY if name in sys.modules]


@pytest.fixture
def loaded_by_collecting(request: pytest.FixtureRequest) -> list[str]:
    """The heavy packages that collecting has loaded."""
    return request.session.stash[LOADED]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs something that is not here."""
    absent = find_absent(item.iter_markers())
    if absent:
        pytest.skip(absent)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[object]:
    """Tests that let OpenVINO compile by themselves leave the stack for signals as it was."""
    with keep_signal_stack():
        return (yield)
