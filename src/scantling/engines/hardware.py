"""What this machine is, and what its processor computes fast in; found out without any runtime."""

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InvalidValue

logger = logging.getLogger(__name__)
PRECISIONS = ("fp32", "bf16", "fp16")
WAITED = 0.03  # share of its time from which on a sample whose threads waited is disturbed
_THREADS = Path("/proc/self/task")  # Linux only


# Instruction sets that matter to a network, as Linux calls them → as people do.
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "amx_fp16": "AMX-FP16",
    "asimd": "NEON",
    "asimdhp": "NEON-FP16",
    "asimddp": "NEON-DOT",
    "bf16": "ARM-BF16",
    "i8mm": "ARM-I8MM",
    "sve": "SVE",
}
PACKAGES = (
    *("scantling", "numpy", "opencv-python-headless", "torch"),
    *("onnxruntime", "onnxruntime-gpu", "openvino", "nncf", "tensorrt"),
)


@dataclass(frozen=True)
class Processor:
    """The processor.

    Args:
        name: as it calls itself.
        maker: `GenuineIntel`, `AuthenticAMD` or `ARM`; may be empty.
        architecture: `x86_64`, `aarch64`, …
        cores: that this process may run on.
        instructions: keys of `INSTRUCTIONS`.
    """

    name: str
    maker: str
    architecture: str
    cores: int
    instructions: frozenset[str]

    @property
    def has_bf16(self) -> bool:
        """Whether it computes in bf16 at all, without going through fp32."""
        return bool(self.instructions & {"amx_bf16", "avx512_bf16", "bf16"})

    @property
    def has_fp16(self) -> bool:
        """Whether it computes in fp16 at all."""
        return bool(self.instructions & {"amx_fp16", "avx512_fp16", "asimdhp"})

    @property
    def fast(self) -> str:
        """The precision in which it computes networks fastest, of fp32, bf16 and fp16.

        AMX in bf16 does up to ten times the work of AVX512 in fp32 (two cores of an Intel Xeon:
        2.0 to 5.1 TFLOP/s against 0.30 to 0.34). Without AMX there is AVX512's own instruction for
        bf16: on that Xeon it does half the work of fp32 (0.15 to 0.17 TFLOP/s), on AMD's processors
        nearly twice (two cores of an EPYC, 2026-11-22: yolov4-tiny in 8.8 ms, in fp32 16.6;
        yolov4-csp in 99.8, in fp32 188). ARM has a matrix instruction for bf16, and vectors twice
        as wide of fp16: that is what its makers say, and a guess here.
        """
        if "amx_bf16" in self.instructions or "bf16" in self.instructions:
            return "bf16"
        if "avx512_bf16" in self.instructions and self.maker == "AuthenticAMD":
            return "bf16"
        return "fp16" if "asimdhp" in self.instructions else "fp32"


@cache
def find_processor() -> Processor:
    """The processor of this machine."""
    told = _read("/proc/cpuinfo")
    values = dict(re.findall(r"^([\w ]+?)\s*:\s*(.*)$", told, re.MULTILINE))
    flags = set((values.get("flags") or values.get("Features") or "").split())
    name = values.get("model name") or platform.processor() or platform.machine()
    maker = values.get("vendor_id") or ("ARM" if "CPU implementer" in values else "")
    if sys.platform == "darwin":
        name = _ask("sysctl", "-n", "machdep.cpu.brand_string") or name
        flags |= _darwin_flags()
        maker = "Apple" if platform.machine() == "arm64" else "GenuineIntel"
    return Processor(
        name=name,
        maker=maker,
        architecture=platform.machine(),
        cores=count_cores(),
        instructions=frozenset(flags & INSTRUCTIONS.keys()),
    )


def count_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_package(name: str) -> bool:
    """Whether a package is installed, without importing it."""
    return _version(name) is not None


def has_nvidia_gpu() -> bool:
    """Whether there seems to be a GPU of NVIDIA, for runtimes other than torch, which asks CUDA."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def waited_seconds() -> float | None:
    """For how long the living threads of this process were kept from running, so far.

    From the kernel's `schedstat`; None where there is none.
    """
    total = 0
    try:
        for thread in _THREADS.iterdir():
            try:
                total += int((thread / "schedstat").read_bytes().split()[1])
            except ProcessLookupError:
                continue  # ended since it was listed
            except FileNotFoundError:
                if thread.exists():
                    return None
    except (OSError, IndexError, ValueError):
        return None
    return total * 1e-9


def describe_machine() -> dict[str, Any]:
    """The machine, in values that JSON holds: what a measurement must say of where it was made."""
    processor = find_processor()
    return {
        "processor": processor.name,
        "architecture": processor.architecture,
        "cores": processor.cores,
        "instructions": [
            shown for name, shown in INSTRUCTIONS.items() if name in processor.instructions
        ],
        "fast_precision": processor.fast,
        "memory": _memory(),
        "gpu": _gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _memory() -> int:
    """Bytes of memory; 0 where it cannot be told."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    told = _ask("sysctl", "-n", "hw.memsize") if sys.platform == "darwin" else ""
    return int(told) if told.isdigit() else 0


def _gpu_names() -> list[str]:
    if not has_nvidia_gpu():
        return []
    told = _ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [line.strip() for line in told.splitlines() if line.strip()]


def _darwin_flags() -> set[str]:
    """Instruction sets of an Apple processor, in Linux's words."""
    asked = {
        "hw.optional.arm.FEAT_FP16": "asimdhp",
        "hw.optional.arm.FEAT_BF16": "bf16",
        "hw.optional.arm.FEAT_I8MM": "i8mm",
        "hw.optional.arm.FEAT_DotProd": "asimddp",
        "hw.optional.avx2_0": "avx2",
    }
    return {name for key, name in asked.items() if _ask("sysctl", "-n", key) == "1"}


@cache
def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # takes longer than all the rest

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask(*command: str) -> str:
    """What a program of the system says; nothing where it is missing or slow."""
    try:
        done = subprocess.run(  # noqa: S603 - always one of ours
            command, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@dataclass(frozen=True)
class Arithmetic:
    """What a graph is computed in.

    Args:
        name: `fp32`, `bf16`, `fp16` or `int8`.
        floats: what it computes in where it computes in floating point.
    """

    name: str
    floats: str

    def __str__(self) -> str:
        return self.name if self.name == self.floats else f"{self.name} and {self.floats}"


def choose_arithmetic(asked: str | None, own: str, processor: Processor) -> Arithmetic:
    """What a graph is computed in.

    Args:
        asked: `fp32`, `bf16`, `fp16`; `auto` for the fastest of them; None for what the file is
            meant to be computed in.
        own: what it is meant to be computed in. What is INT8 in it stays so.
        processor: that computes.

    Raises:
        InvalidValue: the processor has no arithmetic for what was asked.
    """
    able = [name for name in PRECISIONS if _computes(name, processor)]
    if asked in (None, "auto") and own == "int8":
        return Arithmetic("int8", "bf16" if processor.fast == "bf16" else "fp32")
    if asked == "auto":
        return Arithmetic(processor.fast, processor.fast)
    wanted = own if asked is None else asked
    if wanted not in PRECISIONS:
        raise InvalidValue("precision", wanted, f"one of {', '.join(PRECISIONS)}, or auto")
    if wanted not in able:
        if asked is not None:
            expected = f"one that this processor computes in: {', '.join(able)}, or auto"
            raise InvalidValue("precision", asked, expected)
        logger.info(f"this processor has no arithmetic for {own}: the file is computed in fp32")
        wanted = "fp32"
    return Arithmetic("int8" if own == "int8" else wanted, wanted)


def _computes(precision: str, processor: Processor) -> bool:
    if precision == "fp32":
        return True
    return processor.has_bf16 if precision == "bf16" else processor.has_fp16
