"""An engine ends when it is closed, and says where it cannot be used, in place of waiting there."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scantling import load
from scantling.errors import EngineUnusable

BLACK = np.zeros((96, 96, 3), np.uint8)
FILES = [("static.onnx", "onnxruntime"), ("static.xml", "openvino")]

# closed and opened again, by a program that keeps what it closed and collects no garbage
THREADS = """
import gc, os, sys, time
import numpy as np
from scantling import load

gc.disable()
def count_threads():
    last, now = None, len(os.listdir("/proc/self/task"))
    while now != last:  # one that was waited for may be seen for a moment longer
        time.sleep(0.2)
        last, now = now, len(os.listdir("/proc/self/task"))
    return now

def open_and_use():
    predictor = load(sys.argv[1], engine=sys.argv[2], streams=4, cache=sys.argv[3])
    predictor(np.zeros((96, 96, 3), np.uint8))
    return predictor, len(os.listdir("/proc/self/task"))

first, _ = open_and_use()
first.close()
before = count_threads()
second, during = open_and_use()
second.close()
print(before, during, count_threads())
"""
FORK = """
import os, sys
import numpy as np
from scantling import load
from scantling.errors import EngineUnusable

black = np.zeros((96, 96, 3), np.uint8)
predictor = load(sys.argv[1], engine=sys.argv[2], image_size=96, cache=sys.argv[3])
expected = predictor(black).scores
child = os.fork()
if not child:
    try:
        answer = "equal" if np.allclose(predictor(black).scores, expected) else "other"
    except EngineUnusable as error:
        answer = str(error)
    print(answer, flush=True)
    predictor.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert np.array_equal(predictor(black).scores, expected)
predictor.close()
"""


ANEW = FORK.replace("if not child:", "if not child:\n    predictor.close = print").replace(
    "predictor(black).scores, expected) else",
    "load(sys.argv[1], engine=sys.argv[2])(black).scores, expected) else",
)


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cfg(assets: Path) -> Path:
    return assets / "weights" / "yolo-fastest-1.1-coco" / "yolo-fastest-1.1.cfg"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs the threads of Linux")
@pytest.mark.needs("openvino", "onnxruntime")
@pytest.mark.parametrize(("name", "engine"), FILES)
def test_the_threads_of_an_engine_end_with_it(
    exported: Path, tmp_path: Path, name: str, engine: str
):
    before, during, after = map(int, run(THREADS, exported / name, engine, tmp_path).split())
    assert during > before
    assert after == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.needs("openvino", "onnxruntime")
@pytest.mark.parametrize(("name", "engine"), FILES)
def test_a_forked_process_is_told_that_the_threads_are_not_there(
    exported: Path, tmp_path: Path, name: str, engine: str
):
    answer = run(FORK, exported / name, engine, tmp_path)
    assert answer.startswith(f"The engine {engine} was opened in process ")
    assert answer.endswith("let multiprocessing start them by 'spawn'.\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.needs("openvino", "onnxruntime")
def test_a_forked_process_may_open_its_own_where_the_runtime_can(exported: Path, tmp_path: Path):
    assert "equal\n" in run(ANEW, exported / "static.onnx", "onnxruntime", tmp_path)
    assert "was opened in process" in run(ANEW, exported / "static.xml", "openvino", tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_torch_goes_on_in_a_forked_process_with_one_thread(cfg: Path, tmp_path: Path):
    assert run(FORK, cfg, "torch", tmp_path) == "equal\n"


@pytest.mark.needs("openvino", "onnxruntime")
@pytest.mark.parametrize(("name", "engine"), FILES)
def test_a_closed_predictor_says_so(exported: Path, tmp_path: Path, name: str, engine: str):
    with load(exported / name, engine=engine, cache=tmp_path) as predictor:
        assert predictor(BLACK).image_size == (96, 96)
        with pytest.raises(EngineUnusable, match=rf"{engine} cannot be pickled or copied: .* Load"):
            pickle.dumps(predictor)
    predictor.close()  # twice does no harm
    for use in (predictor, lambda image: list(predictor.stream([image]))):
        with pytest.raises(EngineUnusable, match=rf"engine {engine} is closed\. Load the model"):
            use(BLACK)


def test_torch_is_closed_and_pickled_too(cfg: Path):
    with load(cfg, engine="torch", device="cpu", image_size=96, threads=1) as predictor:
        expected = predictor(BLACK)
        copied = pickle.loads(pickle.dumps(predictor))
    with pytest.raises(EngineUnusable, match="engine torch is closed"):
        predictor(BLACK)
    assert np.array_equal(copied(BLACK).boxes, expected.boxes)
    with pytest.raises(EngineUnusable):
        pickle.loads(pickle.dumps(predictor))(BLACK)


def test_threads_are_torch_s_only_while_the_network_works(cfg: Path):
    before, seen = torch.get_num_threads(), []
    wanted = 3 if before != 3 else 2
    with load(cfg, engine="torch", device="cpu", image_size=96, threads=wanted) as predictor:
        assert torch.get_num_threads() == before
        handle = predictor.engine._network.register_forward_pre_hook(
            lambda *_: seen.append(torch.get_num_threads())
        )
        predictor(BLACK)
        handle.remove()
        assert f"{wanted} threads" in predictor.engine.description
    assert seen == [wanted]
    assert torch.get_num_threads() == before


def test_loading_leaves_the_random_numbers_of_its_caller_alone(cfg: Path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with load(cfg, engine="torch", device="cpu", image_size=96) as predictor:
        predictor(BLACK)
    assert torch.equal(torch.rand(3), expected)
