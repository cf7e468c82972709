"""Small models measured for real: every figure that is promised, failures, an interruption."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scantling.benchmarking import (
    Benchmark,
    Contender,
    Source,
    benchmark,
    notes_of,
    problems_of,
    read_source,
    save_report,
    summarise,
)
from scantling.benchmarking.contender import make_contenders
from scantling.benchmarking.process import run_isolated
from scantling.errors import InvalidValue
from scantling.inference.predictor import STAGES
from small_models import write_cfg, write_data, write_model

TRIALS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_model(folder / "small.safetensors", 8)
    write_model(folder / "large.safetensors", 16)
    write_data(folder)
    (folder / "broken.safetensors").write_bytes(b"nothing")
    return folder


def measure(folder: Path, names: Sequence[str] = ("small",), **settings: Any) -> Benchmark:
    usual: dict[str, Any] = {
        "engines": ("torch",),
        "threads": (1,),
        "device": "cpu",
        "seconds": 0.3,
        "trials": TRIALS,
        "warm_up": 1,
        "isolated": False,
        "cache": folder / "cache",
    }
    models = [folder / f"{name}.safetensors" for name in names]
    return benchmark(models, **(usual | settings))


@pytest.fixture(scope="module")
def measured(folder: Path) -> Benchmark:
    """Two models and one that cannot be loaded, in two engines, with labelled data."""
    return measure(
        folder,
        ("small", "broken", "large"),
        engines=("torch", "openvino"),
        data=folder / "data.yaml",
    )


def test_every_contender_has_a_row_with_every_figure(measured: Benchmark):
    working = [row for row in measured.rows if row.problem is None]
    assert [(row.name, row.engine) for row in working] == [
        ("small.safetensors", "torch"),
        ("small.safetensors", "openvino"),
        ("large.safetensors", "torch"),
        ("large.safetensors", "openvino"),
    ]
    for row in working:
        assert (row.precision, row.image_size, row.batch) == ("fp32", (64, 64), 1)
        assert (row.threads, row.streams) == (1, 1)
        assert set(row.versions) == {"scantling", row.engine}
        assert row.engine in row.description
        assert row.latency is not None
        assert 0 < row.latency.low <= row.latency.median <= row.latency.p95 <= row.latency.p99
        assert row.latency.p99 <= row.latency.high
        assert row.stages is not None
        assert set(row.stages) == set(STAGES)
        assert all(seconds > 0 for seconds in row.stages.values())
        assert row.network is not None
        assert row.network.low > 0
        assert row.throughput is not None
        assert row.throughput.low > 0
        assert row.network_throughput is not None
        assert row.accuracy is not None
        assert row.accuracy.images == 2
        assert 0 <= row.accuracy.ap <= row.accuracy.ap50 <= 1


def test_ratios_are_to_the_first_row(measured: Benchmark):
    first, *others = (row for row in measured.rows if row.problem is None)
    assert measured.base is first
    names = [f"{what}_ratio" for what in ("latency", "network", "throughput", "network_throughput")]
    assert all(getattr(first, name) is None for name in names)
    for row in others:
        for name in names:
            ratio = getattr(row, name)
            assert 0 < ratio.lower <= ratio.median <= ratio.upper


def test_the_row_is_made_of_the_samples_of_its_trials(measured: Benchmark):
    row, trials = measured.rows[0], measured.trials[0]
    assert len(trials) == TRIALS
    for trial in trials:
        assert trial.latency.value == pytest.approx(sum(trial.stages.values()))
    assert row.latency is not None
    assert row.latency.median in [trial.latency.value for trial in trials] or row.latency.cleaned


def test_one_that_fails_says_why_and_loses_nobody_else(measured: Benchmark):
    broken = [row for row in measured.rows if row.name == "broken.safetensors"]
    assert len(broken) == 2
    for row in broken:
        assert "broken.safetensors" in str(row.problem)
        assert row.latency is None
    (line,) = problems_of(measured)  # one reason, for both
    assert "row 3" in line
    assert "row 4" in line


def test_a_failure_of_the_first_makes_the_next_the_base(folder: Path):
    result = measure(folder, ("broken", "small"))
    assert result.base is result.rows[1]
    assert result.rows[1].latency_ratio is None


def test_plain_values_hold_everything(measured: Benchmark):
    plain = json.loads(json.dumps(summarise(measured), allow_nan=False))
    assert plain["interrupted"] is False
    assert plain["machine"]["processor"]
    assert plain["base"] == "small.safetensors, torch fp32 64 1 thr."
    assert len(plain["rows"]) == 6
    row = plain["rows"][1]
    assert row["engine"] == "openvino"
    assert set(row["stages_ms"]) == set(STAGES)
    assert set(row["latency"]) >= {"median_ms", "low_ms", "high_ms", "p95_ms", "p99_ms", "count"}
    assert row["latency"]["median_ms"] == pytest.approx(measured.rows[1].latency.median * 1e3)
    assert set(row["latency_ratio"]) == {"median", "lower", "upper", "count"}
    assert set(row["accuracy"]) == {"ap", "ap50", "images", "protocol"}
    assert plain["rows"][2]["problem"]


def test_files_are_written_whole(measured: Benchmark, tmp_path: Path):
    page = save_report(measured, tmp_path / "out")
    files = {path.name for path in page.parent.iterdir() if not path.name.startswith(".")}
    assert files >= {
        *("report.html", "latency.png", "accuracy.png"),
        *("benchmark.json", "benchmark.csv", "samples.csv"),
    }
    for name in ("latency.png", "accuracy.png"):
        data = (page.parent / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert 300 < image.shape[0] < 3000
        assert 500 < image.shape[1] < 3000
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20  # not blank
    text = page.read_text("utf-8")
    assert "large.safetensors" in text
    assert text.count("data:image/png") == 2
    rows = list(csv.DictReader(io.StringIO((page.parent / "benchmark.csv").read_text("utf-8"))))
    assert len(rows) == 6
    assert float(rows[0]["latency_median"]) == pytest.approx(measured.rows[0].latency.median)
    assert rows[2]["problem"]
    samples = list(csv.DictReader(io.StringIO((page.parent / "samples.csv").read_text())))
    assert len(samples) == 4 * TRIALS
    assert [one["row"] for one in samples[:4]] == ["0", "1", "4", "5"]  # interleaved


def test_hostile_names_are_only_text(folder: Path, tmp_path: Path):
    source = Source(folder / "small.safetensors", label="=<script>$x")
    result = benchmark(
        [source],
        engines=["torch"],
        trials=1,
        warm_up=0,
        seconds=0.1,
        isolated=False,
        cache=folder / "cache",
    )
    page = save_report(result, tmp_path)
    assert "<script>" not in page.read_text("utf-8")
    assert "\n'=<script>" in (tmp_path / "benchmark.csv").read_text("utf-8")


def test_an_interruption_reports_what_there_is(folder: Path, tmp_path: Path):
    def interrupt(phase: str, share: float) -> None:
        if phase == "trials" and share > 0.5:
            raise KeyboardInterrupt

    result = measure(folder, ("small", "large"), trials=10, progress=interrupt)
    assert result.interrupted
    assert any("Interrupted" in note for note in notes_of(result))
    assert [len(trials) for trials in result.trials] == [
        6,
        6,
    ]  # 0.6 is the first share above a half
    for row in result.rows:
        assert row.latency is not None
        assert row.throughput is None
    assert save_report(result, tmp_path).exists()


def test_an_interruption_before_anything_was_measured_still_reports(folder: Path, tmp_path: Path):
    def interrupt(_phase: str, _share: float) -> None:
        raise KeyboardInterrupt

    result = measure(folder, progress=interrupt)
    assert result.interrupted
    assert result.rows[0].latency is None
    assert save_report(result, tmp_path).exists()
    json.dumps(summarise(result), allow_nan=False)


def test_a_process_of_its_own_tells_start_and_memory(folder: Path):
    images = sorted((folder / "images").glob("*.jpg"))
    contender = Contender(Source(folder / "small.safetensors"), "torch", threads=1, device="cpu")
    alone = run_isolated(contender, images, cache=folder / "cache")
    assert alone.problem is None
    assert 0.1 < alone.start < 120
    assert alone.memory is not None
    assert 50e6 < alone.memory < 5e9  # Python with torch, and no more
    assert alone.device_memory is None


def test_a_process_of_its_own_that_fails_says_why(folder: Path):
    images = sorted((folder / "images").glob("*.jpg"))
    broken = Contender(Source(folder / "broken.safetensors"), "torch")
    assert "broken.safetensors" in str(run_isolated(broken, images).problem)
    slow = Contender(Source(folder / "small.safetensors"), "torch")
    assert "ended after" in str(run_isolated(slow, images, longest=0.05).problem)


def test_fresh_weights_need_no_weights_at_all(tmp_path: Path):
    cfg = write_cfg(tmp_path / "bare.cfg")
    result = benchmark(
        [cfg],
        engines=["torch"],
        batch_sizes=[2],
        trials=1,
        warm_up=0,
        seconds=0.1,
        isolated=False,
        fresh_weights=True,
        cache=tmp_path,
    )
    (row,) = result.rows
    assert (row.name, row.problem, row.batch) == ("bare.cfg", None, 2)
    assert any("Random weights" in note for note in notes_of(result))
    assert "4 drawn JPEG files of 480×640" in result.images


def test_a_model_in_memory_is_measured_as_well(folder: Path):
    from scantling.checkpoints import load_model

    model = load_model(folder / "small.safetensors")
    result = benchmark(
        [model],
        engines=["torch"],
        trials=1,
        warm_up=0,
        seconds=0.1,
        isolated=False,
        cache=folder / "cache",
    )
    (row,) = result.rows
    assert (row.name, row.problem) == (model.spec.name, None)


def test_every_combination_is_a_contender_once():
    made = make_contenders(
        [Source("a"), Source("b")],
        engines=["torch", "openvino", "torch"],
        precisions=[None],
        image_sizes=[None],
        batch_sizes=[1, 8],
        threads=[None],
        streams=[1],
        device="cpu",
    )
    assert [(one.source.name, one.engine, one.batch) for one in made] == [
        *[("a", "torch", 1), ("a", "torch", 8), ("a", "openvino", 1), ("a", "openvino", 8)],
        *[("b", "torch", 1), ("b", "torch", 8), ("b", "openvino", 1), ("b", "openvino", 8)],
    ]


def test_weights_are_named_behind_the_model(tmp_path: Path):
    assert read_source("a.cfg=b.weights") == Source("a.cfg", "b.weights")
    odd = tmp_path / "a=b.onnx"
    odd.touch()
    assert read_source(str(odd)) == Source(str(odd))
    with pytest.raises(InvalidValue, match="MODEL=WEIGHTS"):
        read_source("a.cfg=")


@pytest.mark.parametrize(
    "settings",
    [
        {"seconds": 0},
        {"trials": 0},
        {"batch_sizes": [0]},
        {"threads": [0]},
        {"images": ["no/such/image.jpg"]},
        {"data": "x.yaml", "fresh_weights": True},
    ],
)
def test_settings_that_cannot_be_are_refused(folder: Path, settings: dict[str, Any]):
    with pytest.raises(InvalidValue):
        measure(folder, **settings)


def test_nothing_to_measure_is_refused():
    with pytest.raises(InvalidValue, match="one model or more"):
        benchmark([])
