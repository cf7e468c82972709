"""What OpenVINO and NNCF send to their makers by themselves is not sent for the package."""

import subprocess
import sys
from importlib import metadata

import pytest

PROGRAM = """
import sys
from importlib.util import find_spec
from scantling.engines.doctor import _try_engine
from scantling.engines.openvino_engine import import_openvino, without_telemetry

{use}
loaded = [name for name in sys.modules if name.split(".")[0] == "openvino_telemetry"]
assert not loaded, loaded
assert {module!r} in sys.modules
assert find_spec("openvino_telemetry"), "it is there for everybody else"
"""
USES = {
    "engine": ("openvino", "import_openvino('A test')"),
    "doctor": ("openvino", "_try_engine('openvino')"),
    "INT8": ("nncf", "with without_telemetry():\n    import nncf"),
    "precision": (
        "openvino",
        "from scantling.engines.precision import measure_precisions\n"
        "measure_precisions('openvino', [], training=False)",
    ),
}


def is_installed(distribution: str) -> bool:
    return bool(list(metadata.distributions(name=distribution)))


@pytest.mark.skipif(not is_installed("openvino-telemetry"), reason="there is no telemetry")
@pytest.mark.parametrize("use", USES)
def test_an_import_is_reported_to_nobody(use: str):
    module, code = USES[use]
    pytest.importorskip(module)
    program = PROGRAM.format(use=code, module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
