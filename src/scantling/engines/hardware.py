"""What this machine is, and what its processor computes fast in; found out without any runtime."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..io import count_cores, find_control_groups, read_system_file

MOST_IMAGES = 1 << 16  # at once: far above what any memory holds
PRECISIONS = ("fp32", "bf16", "fp16")
WAITED = 0.03  # share of its time from which on a sample whose threads waited is disturbed
_THREADS = Path("/proc/self/task")  # Linux only
MEMORY_FILES = (  # of a control group, by version: its limit, what is taken, what is but a cache
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

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
# Variables that lower what runtimes use of them: the first two, of oneDNN, are two names of one.
LEVEL_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
# The levels of oneDNN, lowest first, with the instructions that each brings.
LEVELS: dict[str, set[str]] = {
    "SSE41": set(),
    "AVX": set(),
    "AVX2": {"avx2"},
    "AVX2_VNNI": {"avx_vnni"},
    "AVX2_VNNI_2": set(),
    "AVX512_CORE": {"avx512f"},
    "AVX512_CORE_VNNI": {"avx512_vnni"},
    "AVX512_CORE_BF16": {"avx512_bf16"},
    "AVX512_CORE_FP16": {"avx512_fp16"},
    "AVX10_1_512": set(),
    "AVX512_CORE_AMX": {"amx_bf16", "amx_int8"},
    "AVX10_1_512_AMX": set(),
    "AVX512_CORE_AMX_FP16": {"amx_fp16"},
    "AVX10_1_512_AMX_FP16": set(),
}
ABOVE_LEVEL = {
    level: frozenset().union(*list(LEVELS.values())[place + 1 :])
    for place, level in enumerate(LEVELS)
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
    def precisions(self) -> tuple[str, ...]:
        """What it computes in without emulating it, of fp32, bf16 and fp16."""
        able = {"fp32": True, "bf16": self.has_bf16, "fp16": self.has_fp16}
        return tuple(name for name in PRECISIONS if able[name])

    @property
    def likely(self) -> str:
        """The one of them that tables have for the fastest; `fast_precision` knows better.

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


def find_processor() -> Processor:
    """The processor of this machine, as it may be used.

    Cores are those that affinity and a container's quota leave; instructions those that the
    variable `ONEDNN_MAX_CPU_ISA` leaves, which torch and OpenVINO obey (ONNX Runtime does not).
    """
    found = _probe_processor()
    return replace(found, cores=count_cores(), instructions=_allowed(found.instructions))


def instruction_level() -> str:
    """What lowers the instructions in use, by environment variables; empty where nothing does.

    Of the variables, `ATEN_CPU_CAPABILITY` is obeyed by torch alone, for what is no convolution
    and no matrix product.
    """
    told = [f"{name}={os.environ[name]}" for name in LEVEL_VARIABLES if os.environ.get(name)]
    return " ".join(told)


def _allowed(instructions: frozenset[str]) -> frozenset[str]:
    """The instructions that are left of these by the variables of oneDNN."""
    asked = next((os.environ[one] for one in LEVEL_VARIABLES[:2] if os.environ.get(one)), "")
    level = asked.upper()
    if level not in ABOVE_LEVEL:
        return instructions
    return instructions - ABOVE_LEVEL[level]


@cache
def _probe_processor() -> Processor:
    told = read_system_file(Path("/proc/cpuinfo"))
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
        cores=os.cpu_count() or 1,
        instructions=frozenset(flags & INSTRUCTIONS.keys()),
    )


def has_package(name: str) -> bool:
    """Whether a package is installed, without importing it."""
    return package_version(name) is not None


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
        "precisions": list(processor.precisions),
        "memory": count_memory(),
        "gpu": _gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: found for name in PACKAGES if (found := package_version(name)) is not None
        },
    }


def count_memory() -> int:
    """Bytes of memory that this process may use; 0 where it cannot be told."""
    told = read_system_file(Path("/proc/meminfo"))
    found = re.search(r"^MemTotal:\s*(\d+) kB", told, re.MULTILINE)
    if found:
        limits = [limit for limit, _ in memory_limits()]
        return min([int(found[1]) * 1024, *limits])
    told = _ask("sysctl", "-n", "hw.memsize") if sys.platform == "darwin" else ""
    return int(told) if told.isdigit() else 0


def free_memory() -> int | None:
    """Bytes of memory that this process can still get; None where the system does not say."""
    found = []
    try:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        found = [int(fields["MemAvailable"].split()[0]) * 1024]
    except (ValueError, OSError, KeyError, AttributeError):
        pass
    found += [free for _, free in memory_limits()]
    with suppress(ImportError, OSError, ValueError, IndexError):  # not every system has it
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            taken = Path("/proc/self/statm").read_text("ascii").split()[0]
            found.append(most - int(taken) * os.sysconf("SC_PAGE_SIZE"))
    return min(found) if found else None


def memory_limits() -> Iterator[tuple[int, int]]:
    """(bytes that may be used, bytes that still may) of each control group with a limit."""
    for group in find_control_groups("memory"):
        for limit, used, cached in MEMORY_FILES:
            try:
                most, taken = (int((group / name).read_text("ascii")) for name in (limit, used))
                lines = (group / "memory.stat").read_text("ascii").splitlines()
                # files that were read count as taken, but make room when it is needed
                spare = next((int(one.split()[1]) for one in lines if one.split()[0] == cached), 0)
            except (OSError, ValueError, IndexError):
                continue
            yield most, most - taken + spare


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
def package_version(name: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes longer than all the rest

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ask(*command: str) -> str:
    """What a program of the system says; nothing where it is missing or slow."""
    try:
        done = subprocess.run(  # noqa: S603 - always one of ours
            command, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
