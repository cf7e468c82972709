"""What of this machine and its packages works, and how fast: for a report of a problem."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..cache import can_keep, find_budget, list_entries
from ..io import default_cache
from ..io.folders import free_bytes
from .hardware import LEVEL_VARIABLES, describe_machine, find_processor
from .openvino_engine import without_telemetry
from .precision import fast_precision, macs_measured, measure_precisions
from .runtimes import ENGINES

# Where a package of an engine is imported from.
MODULES = {"torch": "torch", "openvino": "openvino", "onnxruntime": "onnxruntime"}
MEASURED = ("torch", "openvino")


def examine(cache: Path | None = None) -> dict[str, Any]:
    """Versions, engines, devices, processor, speed, cache and memory, in values that JSON holds.

    A package that is missing or broken is told of, never an error.

    Args:
        cache: its folder; the user's own if None.
    """
    folder = cache or default_cache()
    engines = {name: _try_engine(name) for name in ENGINES}
    able = {name: one for name, one in engines.items() if one["works"]}
    return {
        **describe_machine(),
        "executable": sys.executable,
        "machine_cores": os.cpu_count(),
        "variables": {name: os.environ[name] for name in LEVEL_VARIABLES if name in os.environ},
        "engines": engines,
        "speed": {name: _measure(name, folder) for name in MEASURED if name in able},
        "cache": {
            "folder": str(folder),
            "writable": can_keep(folder),
            "bytes": sum(entry.size for entry in list_entries(folder)),
            "budget": find_budget(folder),
            "free": free_bytes(folder),
        },
    }


def _try_engine(name: str) -> dict[str, Any]:
    """Whether an engine works, its devices, or why it does not."""
    module = MODULES.get(name, name)
    try:
        with without_telemetry():
            imported = import_module(module)
        return {"works": True, "devices": _devices(name, imported), "why": ""}
    except ModuleNotFoundError as error:
        packages = " or ".join(ENGINES[name].packages)
        missing = f"not installed: pip install {packages}"
        why = missing if error.name == module else f"{error}"
    except Exception as error:  # a broken installation raises anything
        why = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return {"works": False, "devices": [], "why": why}


def _devices(name: str, module: Any) -> list[str]:
    if name == "torch":
        count = module.cuda.device_count() if module.cuda.is_available() else 0
        return ["cpu", *(f"cuda:{gpu} {module.cuda.get_device_name(gpu)}" for gpu in range(count))]
    if name == "openvino":
        return [str(device) for device in module.Core().available_devices]
    if name == "onnxruntime":
        return [one.removesuffix("ExecutionProvider") for one in module.get_available_providers()]
    return ["cuda"]


def _measure(runtime: str, folder: Path) -> Mapping[str, Any]:
    """Billions of multiply-accumulates a second and core, and the precision that `auto` takes."""
    reduced = [one for one in find_processor().precisions if one != "fp32"]
    try:
        seconds = measure_precisions(runtime, reduced, training=False)
    except Exception as error:  # whatever a runtime raises
        return {"problem": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    rates = {name: round(macs_measured() / 1e9 / one, 1) for name, one in seconds.items()}
    found = {"gmacs_per_second": rates, "auto": fast_precision(runtime, cache=folder)}
    if runtime == "torch":
        found["auto_training"] = fast_precision(runtime, training=True, cache=folder)
    return found
