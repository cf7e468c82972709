"""A signal after OpenVINO has compiled and let go is handled, and does not end Python."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
import numpy as np, openvino
from openvino import opset13 as opset
from scantling.engines.openvino_engine import keep_signal_stack

def stack():
    now = (ctypes.c_size_t * 3)()
    ctypes.CDLL(None).sigaltstack(None, now)
    return list(now)

def compile():
    images = opset.parameter([1, 3, 64, 64], np.float32)
    openvino.Core().compile_model(openvino.Model([opset.relu(images)], [images]), "CPU")

before = stack()
with keep_signal_stack():
    compile()
assert stack() == before, (stack(), before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seen on Linux")
def test_the_stack_for_signals_is_as_it_was_once_openvino_has_compiled():
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
