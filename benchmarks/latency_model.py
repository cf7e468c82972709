"""How well the latency model predicts whole networks that it has never seen.

    python benchmarks/latency_model.py --engine openvino onnxruntime torch --cache networks/

For each engine, in one run: chains of primitives are timed group by group, and behind each group
every network takes a turn. The model is then fitted to the chains alone, and its predictions are
compared with the medians of the networks. These are of both families, with widths, depths, kinds
and sizes drawn at random; they are exported as `scantling export` does and run by
`scantling.engines`, image to boxes. With --cache the exported files are kept for the next run.
--memory compares predicted and measured peak memory instead, each network in its own process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scantling.checkpoints import Model
from scantling.checkpoints.model import build_network
from scantling.engines import EngineSettings, open_engine
from scantling.engines.graphs import make_metadata, to_onnx, to_openvino, write_onnx, write_openvino
from scantling.engines.hardware import describe_machine
from scantling.scaling.latency import LatencyModel, OperationTable, predict_memory, tabulate
from scantling.scaling.laws import compound, deepen, resize, widen
from scantling.scaling.profiling.profiler import (
    SHORT,
    choose_runner,
    make_profile,
    measure_groups,
    measure_rates,
)
from scantling.scaling.profiling.timing import CLOCKS, robust_median
from scantling.specs import ModelSpec, find_spec

SUFFIXES = {"openvino": ".xml", "onnxruntime": ".onnx"}
LARGEST_MACS = 12e9
# A process of its own that loads what predicting needs, predicts, and says its peak.
CHILD = """
import json, sys
from pathlib import Path
from scantling.engines import EngineSettings, open_engine
from scantling.benchmarking.isolated import peak_memory
told = json.loads(sys.argv[1])
if told["engine"] == "torch":
    from scantling.checkpoints import Model
    from scantling.checkpoints.model import build_network
    from scantling.specs import ModelSpec
    spec = ModelSpec.model_validate(told["spec"])
    names = tuple(str(label) for label in range(spec.num_classes))
    source = Model(spec, build_network(spec).eval(), names)
else:
    source = Path(told["path"])
opened = open_engine(source, EngineSettings(engine=told["engine"], device="cpu"))
for _ in range(3):
    opened(opened.new_batch(1))
print(peak_memory())
"""
Timed = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One network: what was measured and what was predicted, in seconds."""

    name: str
    measured: float
    spread: float
    predicted: float

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.measured - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parse(argv)
    specs = draw_specs(options.networks, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        kept = options.cache or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        if options.memory:
            report_memory(specs[: options.memory], options, kept)
            return 0
        print(json.dumps(describe_machine()))
        for engine in options.engine:
            rows = compare(engine, specs, options, kept)
            report(engine, rows, options)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", nargs="+", default=["openvino", "onnxruntime", "torch"])
    parser.add_argument("--networks", type=int, default=34, help="(default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=2.0, help="of chains, for each engine")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seed", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="processor: count what one thread computes, where others use the machine too",
    )
    parser.add_argument("--cache", type=Path, help="folder for exported networks")
    parser.add_argument("--save", type=Path, help="folder for what was measured, as JSON")
    parser.add_argument("--only-export", action="store_true", help="fill the cache and stop")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="of N networks")
    options = parser.parse_args(argv)
    if options.clock == "processor" and options.threads != 1:
        parser.error("--clock processor needs --threads 1")
    return options


def draw_specs(count: int, seed: int) -> list[ModelSpec]:
    """Networks of both families in turn, the larger ones left out."""
    random = np.random.default_rng(seed)
    found: list[ModelSpec] = []
    draws = (_draw_tiny, _draw_csp, _draw_efficient)
    while len(found) < count:
        spec = draws[len(found) % len(draws)](random)
        spec = spec.replace(name=f"{len(found):02d} {spec.name}"[:60])
        if count_macs(spec) <= LARGEST_MACS:
            found.append(spec)
    return found


def _draw_tiny(random: np.random.Generator) -> ModelSpec:
    spec = widen(find_spec("yolov4-tiny"), round(random.uniform(0.4, 1.6), 2))
    return resize(spec, int(random.integers(7, 17)) * 32)


def _draw_csp(random: np.random.Generator) -> ModelSpec:
    name = str(random.choice(["yolov4-csp", "yolov4-p5", "yolov4", "yolov4-p6"]))
    spec = widen(find_spec(name), round(random.uniform(0.25, 0.8), 2))
    spec = deepen(spec, round(random.uniform(0.2, 0.8), 2))
    divisor = spec.size_divisor
    return resize(spec, int(random.integers(192 // divisor, 448 // divisor + 1)) * divisor)


def _draw_efficient(random: np.random.Generator) -> ModelSpec:
    spec = find_spec("efficientdet-d0")
    if random.integers(3) == 0:
        spec = compound(spec, int(random.integers(1, 3)))
    spec = widen(spec, round(random.uniform(0.6, 1.4), 2))
    spec = deepen(spec, round(random.uniform(0.6, 1.6), 2))
    return resize(spec, int(random.integers(2, 5)) * 128)


def count_macs(spec: ModelSpec) -> float:
    """Multiply-accumulates of a network."""
    table = tabulate(spec)
    return float((table.macs * table["count"])[table["kind"] < 8].sum())


def make_model(spec: ModelSpec) -> Model:
    """The network with fresh weights, which are as fast as any."""
    torch.manual_seed(0)
    names = tuple(f"class {label}" for label in range(spec.num_classes))
    return Model(spec, build_network(spec).eval(), names)


def export(spec: ModelSpec, engine: str, folder: Path) -> Path:
    """The exported file of a network; one made before, if there is one."""
    path = folder / f"{spec.name.replace(' ', '-')}{SUFFIXES[engine]}"
    if not path.exists():
        model = make_model(spec)
        metadata = make_metadata(model)
        if engine == "openvino":
            write_openvino(to_openvino(model, metadata), path)
        else:
            write_onnx(to_onnx(model, metadata), path)
    return path


def compare(
    engine: str, specs: Sequence[ModelSpec], options: argparse.Namespace, folder: Path
) -> list[Row]:
    """Chains and networks by turns, then predictions."""
    sources = [
        make_model(spec) if engine == "torch" else export(spec, engine, folder) for spec in specs
    ]
    if options.only_export:
        return []
    runs = []
    for source, spec in zip(sources, specs, strict=True):
        opened = open_engine(
            source,
            EngineSettings(
                engine=engine, precision=options.precision, threads=options.threads, device="cpu"
            ),
        )
        images = opened.new_batch(1, spec.image_size)
        images[:] = 114
        runs.append(partial(opened, images))
    runner = choose_runner(engine, "cpu", options.precision, options.threads)
    samples, turns = _take_turns(runner, runs, options.minutes, options.clock)
    profile = make_profile(runner, samples[0], samples[1], minutes=options.minutes)
    model = LatencyModel(profile)
    tables = [tabulate(spec) for spec in specs]
    predicted = model.seconds_of(tables)
    middles = [robust_median(one) for one in turns]
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        _save(options.save / f"{engine}.json", profile, tables, turns, specs)
    print(
        f"{engine}: {len(profile.samples)} chains; unseen chains are off by "
        f"{profile.whole.error:.1%} in the median, 90 % lie between "
        f"{np.expm1(profile.whole.low):+.0%} and {np.expm1(profile.whole.high):+.0%}"
    )
    return [
        Row(spec.name, *middle, float(guess))
        for spec, middle, guess in zip(specs, middles, predicted, strict=True)
    ]


def _take_turns(
    runner: Any, runs: list[Any], minutes: float, clock: str
) -> tuple[Any, list[list[Timed]]]:
    """(rates and samples of chains), and the times of every network."""
    timed = CLOCKS[clock]
    rates = measure_rates(runner)
    for run in runs:
        run()
    short = [timed(run)[0] < SHORT for run in runs]
    turns: list[list[Timed]] = [[] for _ in runs]
    samples: list[Any] = []
    groups, spent = measure_groups(runner, clock=timed), 0.0
    while spent < 60 * minutes:
        start = time.monotonic()
        samples += next(groups)
        spent += time.monotonic() - start
        for run, again, own in zip(runs, short, turns, strict=True):
            if again:
                run()
            own.append(timed(run))
    return (rates, samples), turns


def _save(
    path: Path,
    profile: Any,
    tables: Sequence[OperationTable],
    turns: Sequence[list[Timed]],
    specs: Sequence[ModelSpec],
) -> None:
    facts = {
        "profile": json.loads(profile.model_dump_json()),
        "tables": [table.as_rows() for table in tables],
        "turns": turns,
        "names": [spec.name for spec in specs],
    }
    path.write_text(json.dumps(facts))


def report(engine: str, rows: Sequence[Row], options: argparse.Namespace) -> None:
    """A table of the networks, and what it amounts to."""
    if not rows:
        return
    errors = np.abs([row.error for row in rows])
    ranks = rank_correlation([row.predicted for row in rows], [row.measured for row in rows])
    head = f"{engine}, {options.precision}, {options.threads} threads, one image"
    print(f"\n{head} | measured ms | spread | predicted | error")
    for row in rows:
        print(
            f"{row.name} | {row.measured * 1e3:.2f} | {row.spread:.0%} "
            f"| {row.predicted * 1e3:.2f} | {row.error:+.1%}"
        )
    print(
        f"{engine}: {len(rows)} networks, median |error| {np.median(errors):.1%}, "
        f"90th percentile {np.percentile(errors, 90):.1%}, worst {errors.max():.1%}, "
        f"rank correlation {ranks:.4f}",
        flush=True,
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks; there are no ties among times."""
    first, second = (np.argsort(np.argsort(values)) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def report_memory(specs: Sequence[ModelSpec], options: argparse.Namespace, folder: Path) -> None:
    """Peak memory of a process for each network, predicted and measured."""
    for engine in options.engine:
        for spec in specs:
            told = {"spec": json.loads(spec.model_dump_json()), "engine": engine}
            if engine != "torch":
                told["path"] = str(export(spec, engine, folder))
            command = [sys.executable, "-c", CHILD, json.dumps(told)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            peak = float(done.stdout.split()[-1])
            guess = predict_memory(spec, engine=engine)
            print(
                f"{engine} | {spec.name} | measured {peak / 1e6:.0f} MB | "
                f"predicted {guess.peak / 1e6:.0f} ({guess.low / 1e6:.0f}–{guess.high / 1e6:.0f})",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
