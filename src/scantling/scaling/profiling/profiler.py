"""Profile a device: time random chains on an engine, and cross-validate the latency model."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import Any

import numpy as np

from ...engines.hardware import describe_machine, find_processor
from ...engines.runtimes import find_installed
from ...errors import InvalidValue, MissingPackage, UnknownName
from ...io import count_cores
from ..device_profile import ChainSample, DeviceProfile, Peak, Residuals, engine_version
from ..latency.fitting import cross_validate
from ..latency.operation_table import OperationTable
from ..latency.terms import PeakRates
from .chain import Chain
from .onnx_chain import check_precision, run_in_onnxruntime, run_in_openvino
from .peak import dense_chains, measure_bandwidth, measure_macs
from .random_chains import chain_macs, draw_chains
from .timing import robust_median, timed
from .torch_chain import count_chain, run_in_torch

logger = logging.getLogger(__name__)

ENGINES = ("openvino", "onnxruntime", "torch", "tensorrt")
TOGETHER = 22  # chains that are timed interleaved
TURNS = 6
SHORT = 0.2  # seconds; a chain below runs once more before it is timed

Run = Callable[[], Any]
Progress = Callable[[float], None]
Clock = Callable[[Run], tuple[float, float]]


@dataclass(frozen=True)
class ChainRunner:
    """Runs chains on one engine, with fixed settings.

    Args:
        engine, precision, device, threads: as in `DeviceProfile`.
    """

    engine: str
    precision: str
    device: str
    threads: int

    def prepare(self, chain: Chain) -> Run:
        """Return a function that runs the chain once."""
        if self.engine == "torch":
            return run_in_torch(
                chain, precision=self.precision, device=self.device, threads=self.threads
            )
        if self.engine == "openvino":
            return run_in_openvino(chain, precision=self.precision, threads=self.threads)
        return run_in_onnxruntime(
            chain,
            device=self.device,
            threads=self.threads,
            tensorrt=self.precision if self.engine == "tensorrt" else None,
        )


def measure_device(
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    minutes: float = 2.0,
    progress: Progress = lambda _: None,
) -> DeviceProfile:
    """Profile a device: time chains of primitive operations on an engine.

    Args:
        engine: `openvino`, `onnxruntime` or `torch`; `tensorrt`, through an ONNX Runtime that has
            it; `auto` for the first of the other three that is installed, torch on a GPU.
        device: `auto`, `cpu` or `cuda`; the last for torch, onnxruntime and tensorrt.
        precision: `fp32`, `bf16` or `fp16`; onnxruntime measures fp32 alone.
        threads: of the processor; None for as many as it has cores.
        minutes: to spend; at least one group of chains is measured.
        progress: told the share of the time that has passed.

    Raises:
        InvalidValue: a setting that cannot be measured here.
        MissingPackage, UnknownName: the engine is not installed, or there is none.
    """
    runner = choose_runner(engine, device, precision, threads)
    logger.info(
        f"measuring {runner.engine} on {runner.device} in {runner.precision} with "
        f"{runner.threads} threads for {minutes:g} minutes; leave the machine alone meanwhile"
    )
    start = monotonic()
    rates = measure_rates(runner)
    samples: list[tuple[str, OperationTable, float, float]] = []
    for group in measure_groups(runner):
        samples += group
        passed = monotonic() - start
        progress(min(1.0, passed / max(60 * minutes, 1e-9)))
        # another group takes as long as one did
        if passed * (1 + len(group) / len(samples)) > 60 * minutes:
            break
    return make_profile(runner, rates, samples, minutes=(monotonic() - start) / 60)


def choose_runner(engine: str, device: str, precision: str, threads: int | None) -> ChainRunner:
    """Resolve and check the settings to measure with.

    Raises:
        InvalidValue, MissingPackage, UnknownName: see `measure_device`.
    """
    installed = find_installed()
    if engine == "auto":
        able = ("torch",) if device == "cuda" else ENGINES
        engine = next(name for name in able if name in installed or name == "torch")
    if engine not in ENGINES:
        raise UnknownName("engine", engine, ENGINES)
    if engine not in installed and engine != "torch":
        raise MissingPackage(engine, f"Measuring {engine}")
    check_precision(precision)
    if device not in ("auto", "cpu", "cuda"):
        raise InvalidValue("device", device, "auto, cpu or cuda")
    where = "cuda" if device == "cuda" or engine == "tensorrt" else "cpu"
    if engine == "openvino" and where == "cuda":
        raise InvalidValue("device", device, "cpu: openvino runs on the processor")
    if engine == "tensorrt" and device == "cpu":
        raise InvalidValue("device", device, "cuda: tensorrt runs on a GPU")
    if engine == "onnxruntime" and precision != "fp32":
        raise InvalidValue("precision", precision, "fp32 for onnxruntime")
    computed = find_processor().precisions
    if where == "cpu" and precision not in computed:
        expected = f"one that this processor computes in: {', '.join(computed)}"
        raise InvalidValue("precision", precision, expected)
    if threads is not None and not 1 <= threads <= 1024:
        raise InvalidValue("threads", threads, "a number from 1 to 1024")
    return ChainRunner(engine, precision, where, threads or count_cores())


def measure_rates(runner: ChainRunner) -> PeakRates:
    """Measure peak compute and memory bandwidth."""
    chains = dense_chains()
    macs = measure_macs([(chain_macs(chain), runner.prepare(chain)) for chain in chains])
    return PeakRates(macs, measure_bandwidth())


def measure_groups(
    runner: ChainRunner, *, seed: int = 0, clock: Clock = timed
) -> Iterator[list[tuple[str, OperationTable, float, float]]]:
    """Measure group after group of chains: (name, operations, seconds, spread) of each."""
    chains = draw_chains(seed)
    while True:
        group = list(islice(chains, TOGETHER))
        tables = [count_chain(chain) for chain in group]
        yield [
            (chain.name, table, *times)
            for chain, table, times in zip(
                group,
                tables,
                time_interleaved([runner.prepare(chain) for chain in group], clock),
                strict=True,
            )
        ]


def time_interleaved(runs: list[Run], clock: Clock = timed) -> list[tuple[float, float]]:
    """Time functions interleaved after a warm-up: (median seconds, spread) of each."""
    for run in runs:
        run()
    short = [clock(run)[0] < SHORT for run in runs]
    found: list[list[tuple[float, float]]] = [[] for _ in runs]
    for _ in range(TURNS):
        for run, again, samples in zip(runs, short, found, strict=True):
            if again:
                run()
            samples.append(clock(run))
    return [robust_median(samples) for samples in found]


def make_profile(
    runner: ChainRunner,
    rates: PeakRates,
    samples: list[tuple[str, OperationTable, float, float]],
    *,
    minutes: float,
) -> DeviceProfile:
    """Make the device profile from the measured samples."""
    kept, whole = _judge(samples, rates)
    return DeviceProfile(
        machine=describe_machine(),
        engine=runner.engine,
        engine_version=engine_version(runner.engine),
        device=runner.device,
        precision=runner.precision,
        threads=runner.threads,
        peak=Peak(
            macs_per_second=rates.macs_per_second,
            bytes_per_second=rates.bytes_per_second,
            precision=runner.precision,
        ),
        samples=kept,
        whole=whole,
        created=datetime.now(UTC).date().isoformat(),
        minutes=round(minutes, 2),
    )


def _judge(
    samples: list[tuple[str, OperationTable, float, float]], rates: PeakRates
) -> tuple[tuple[ChainSample, ...], Residuals]:
    """Cross-validate the latency model: samples with residuals, and their summary."""
    _, tables, seconds, spreads = zip(*samples, strict=True)
    fitted = cross_validate(tables, np.array(seconds), np.array(spreads), rates)
    unseen = fitted.unseen.clip(-20, 20)
    low, median, high = np.percentile(unseen, [5, 50, 95]).tolist()
    error = float(np.median(np.abs(np.expm1(-unseen))))
    kept = tuple(
        ChainSample(
            primitive=name,
            operations=table.as_rows(),
            seconds=one,
            spread=spread,
            unseen=float(off),
        )
        for (name, table, one, spread), off in zip(samples, unseen, strict=True)
    )
    return kept, Residuals(low=low, median=median, high=high, error=error)
