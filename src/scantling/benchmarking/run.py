"""Benchmark contenders with interleaved trials, so that what disturbs one disturbs all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..datasets.dataset import Dataset
from ..datasets.readers import describe_dataset
from ..engines.hardware import describe_machine, waited_seconds
from ..errors import InvalidValue
from ..evaluation import open_data
from .contender import Source, make_contenders, name_sources, with_fresh_weights
from .outcome import Benchmark
from .phases import (
    BenchmarkPlan,
    BenchmarkState,
    close_all,
    evaluate_all,
    load_all,
    measure_all_throughput,
    run_trials,
    start_isolated,
)
from .pictures import describe_images, draw_images, find_images
from .rows import make_rows
from .trials import Entry

if TYPE_CHECKING:
    from ..checkpoints import Model


def benchmark(
    models: Sequence[str | Path | Source | Model],
    *,
    engines: Sequence[str] = ("auto",),
    precisions: Sequence[str | None] = (None,),
    image_sizes: Sequence[int | tuple[int, int] | None] = (None,),
    batch_sizes: Sequence[int] = (1,),
    threads: Sequence[int | None] = (None,),
    streams: Sequence[int] = (1,),
    device: str = "auto",
    images: Sequence[str | Path] = (),
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    limit: int | None = None,
    seconds: float = 10.0,
    trials: int | None = None,
    warm_up: int = 3,
    isolated: bool = True,
    fresh_weights: bool = False,
    cache: Path | None = None,
    progress: Callable[[str, float], None] = lambda _phase, _share: None,
) -> Benchmark:
    """Measure models beside one another: latency, throughput, memory, start-up and accuracy.

    >>> benchmark(["yolov4-tiny"], engines=["torch", "openvino"]).rows  # doctest: +SKIP

    Every model is run in every combination of engine, precision, size, batch, threads and streams.
    Their trials are interleaved, A B C A B C, in this process; before, each has isolated processes,
    which tell its start-up time and memory. A contender that fails says so in its row. Whatever was
    measured until `KeyboardInterrupt` is returned.

    Args:
        models: names, files, `Source`, or models in memory; of text, `MODEL=WEIGHTS` as well.
        engines: `auto`, `torch`, `onnxruntime`, `openvino`, `tensorrt`.
        precisions: `fp32`, `bf16`, `fp16`, `int8`; None for a file's own.
        image_sizes: (height, width), or the side of a square; None for the model's own.
        batch_sizes: images that the network sees at once.
        threads: of the engine; None for its own choice.
        streams: batches that the engine works on at once; see throughput.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        images: files and folders to measure with; the images of `data`, else drawn ones, if none.
        data: labelled images, for the AP of each contender.
        split, limit: of the data, as for `evaluate`.
        seconds: for each contender, without loading, start-up and AP.
        trials: of each, in place of as many as the time allows.
        warm_up: trials that do not count.
        isolated: start each contender in processes of its own as well.
        fresh_weights: random weights for named models and `.cfg` files, so that nothing is fetched.
        cache: folder for what is downloaded or converted.
        progress: told the phase and which share of it is done.

    Raises:
        InvalidValue: a setting that cannot be, or no image.
        InvalidData: the labelled data cannot be read.
    """
    if seconds <= 0 or (trials is not None and trials < 1):
        raise InvalidValue("seconds", seconds, "more than 0, and of trials 1 or more")
    if fresh_weights and data is not None:
        raise InvalidValue("fresh_weights", True, "False beside labelled data: nothing is found")
    dataset = None if data is None else open_data(data, split=split)
    with TemporaryDirectory(prefix="scantling-benchmark-") as folder:
        sources = list(name_sources(models, Path(folder)))
        if fresh_weights:
            sources = [
                with_fresh_weights(source, Path(folder) / f"fresh-{number}.safetensors")
                for number, source in enumerate(sources)
            ]
        contenders = make_contenders(
            sources,
            engines=engines,
            precisions=precisions,
            image_sizes=image_sizes,
            batch_sizes=batch_sizes,
            threads=threads,
            streams=streams,
            device=device,
        )
        chosen = images or ([] if dataset is None else [one.path for one in dataset.images])
        files = find_images(chosen) if chosen else draw_images(Path(folder))
        shown = describe_images(files, drawn=not chosen)
        plan = BenchmarkPlan(files, seconds, trials, warm_up, cache, progress)
        state = BenchmarkState([Entry(one) for one in contenders])
        interrupted = _measure(state, plan, dataset, limit=limit, isolated=isolated)
        rows = make_rows(state.entries)
        close_all(state)
    working = [entry for entry in state.entries if entry.problem is None]
    return Benchmark(
        rows=rows,
        trials=tuple(tuple(one.trials) if one in working else () for one in state.entries),
        throughput_runs=tuple(
            tuple(one.throughput_runs) if one in working else () for one in state.entries
        ),
        machine={**describe_machine(), "waits_known": waited_seconds() is not None},
        images=shown,
        data="" if dataset is None else _describe(dataset, limit),
        fresh=fresh_weights,
        interrupted=interrupted,
        remarks=tuple(state.remarks),
    )


def _measure(
    state: BenchmarkState,
    plan: BenchmarkPlan,
    dataset: Dataset | None,
    *,
    limit: int | None,
    isolated: bool,
) -> bool:
    """Run the phases; True where the user interrupted them."""
    try:
        if isolated:
            start_isolated(state, plan)
        load_all(state, plan)
        run_trials(state, plan)
        measure_all_throughput(state, plan)
        if dataset is not None:
            evaluate_all(state, plan, dataset, limit)
    except KeyboardInterrupt:
        return True
    return False


def _describe(dataset: Dataset, limit: int | None) -> str:
    """What AP is measured on, in one line."""
    text = f"{dataset.source}: {describe_dataset(dataset)}"
    return text if limit is None or limit >= len(dataset) else f"{text}; the first {limit} images"
