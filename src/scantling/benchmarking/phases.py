"""The phases of a benchmark: isolated processes, interleaved trials, throughput runs, accuracy."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from ..datasets.dataset import Dataset
from ..evaluation import evaluate, selection_for
from ..inference import load
from ..inference.predictor import Predictor
from ..postprocess import Selection
from .contender import Source, explain
from .outcome import Accuracy
from .process import run_isolated
from .trials import SHORT, Entry, measure_throughput, prepare, run_trial

STARTS = 2  # processes of each contender: the first may convert, the second finds it done
TRIALS_SHARE = 0.6  # share of the time that goes to trials; the rest to throughput runs
FEWEST, MOST = 10, 1000  # trials
THROUGHPUT_RUNS = 5
PROTOCOL = "coco"


@dataclass(frozen=True)
class BenchmarkPlan:
    """Settings of a benchmark, below `benchmark`.

    Args:
        images: files.
        seconds: for each contender, of trials and throughput runs.
        trials: of each; None for as many as the time allows.
        warm_up: trials that do not count.
        cache: folder for what is downloaded or converted.
        progress: told the phase and which share of it is done.
    """

    images: Sequence[Path]
    seconds: float
    trials: int | None
    warm_up: int
    cache: Path | None
    progress: Callable[[str, float], None]


@dataclass(eq=False)
class BenchmarkState:
    """The entries, and remarks on the benchmark as a whole."""

    entries: list[Entry]
    remarks: list[str] = field(default_factory=list)

    @property
    def running(self) -> list[tuple[Entry, Predictor]]:
        """The entries without a problem, with their predictors."""
        return [(one, one.running) for one in self.entries if one.running is not None]


def start_isolated(state: BenchmarkState, plan: BenchmarkPlan) -> None:
    """Measure start-up and memory in processes of their own; who fails takes no further part."""
    steps = len(state.entries) * STARTS
    for number, entry in enumerate(state.entries):
        for start in range(STARTS):
            plan.progress("isolated processes", (number * STARTS + start) / steps)
            said = run_isolated(entry.contender, plan.images, cache=plan.cache)
            if said.problem is not None:
                entry.problem = said.problem
                break
            entry.starts.append(said)


def load_all(state: BenchmarkState, plan: BenchmarkPlan) -> None:
    """Load every contender into this process, and let it warm up."""
    for number, entry in enumerate(state.entries):
        plan.progress("loading", number / len(state.entries))
        if entry.problem is not None:
            continue
        with _attempt(entry):
            predictor = load(**entry.contender.settings, selection=Selection(), cache=plan.cache)
            prepare(entry, predictor, plan.images[0])
    for number in range(plan.warm_up):
        plan.progress("warming up", number / plan.warm_up)
        for entry, predictor in state.running:
            with _attempt(entry):
                trial = run_trial(entry, predictor, plan.images, number)
                entry.short = trial.network.value < SHORT


def run_trials(state: BenchmarkState, plan: BenchmarkPlan) -> None:
    """Run trials interleaved, A B C A B C, until the time is over. Only those of all count."""
    budget = plan.seconds * len(state.running) * TRIALS_SHARE
    start = perf_counter()
    for number in range(plan.trials or MOST):
        if not state.running:
            break
        share = (perf_counter() - start) / budget
        if plan.trials is None and share >= 1 and number >= FEWEST:
            break
        plan.progress("trials", number / plan.trials if plan.trials else min(1.0, share))
        taken = []
        for entry, predictor in state.running:
            with _attempt(entry):
                taken.append((entry, run_trial(entry, predictor, plan.images, number)))
        for entry, trial in taken:
            entry.trials.append(trial)


def measure_all_throughput(state: BenchmarkState, plan: BenchmarkPlan) -> None:
    """Measure the throughput of each, interleaved. Only runs of all count."""
    count = THROUGHPUT_RUNS if plan.trials is None else min(THROUGHPUT_RUNS, plan.trials)
    seconds = plan.seconds * (1 - TRIALS_SHARE) / (2 * THROUGHPUT_RUNS)
    for number in range(count):
        plan.progress("throughput", number / count)
        taken = []
        for entry, predictor in state.running:
            with _attempt(entry):
                run = measure_throughput(entry, predictor, plan.images, seconds)
                taken.append((entry, run))
        for entry, run in taken:
            entry.throughput_runs.append(run)


def evaluate_all(
    state: BenchmarkState, plan: BenchmarkPlan, dataset: Dataset, limit: int | None
) -> None:
    """Evaluate each model once for each engine, precision and size that it runs in."""
    known: dict[tuple[Source, str, str, tuple[int, int]], Accuracy] = {}
    selection = selection_for(PROTOCOL)
    for entry, predictor in state.running:
        engine = predictor.engine
        source = entry.contender.source
        key = (source, engine.name, engine.precision, engine.image_size)
        if key not in known:
            evaluated = Predictor(
                engine, predictor.names, input_spec=predictor.input_spec, selection=selection
            )
            phase = f"evaluating {source.name}, {engine.name} {engine.precision}"
            try:
                result = evaluate(
                    evaluated,
                    dataset,
                    protocol=PROTOCOL,
                    limit=limit,
                    batch_size=entry.contender.batch,
                    progress=_shares(plan, phase),
                )
            except Exception as error:  # its times stay: they are as good without
                state.remarks.append(f"No AP of {source.name}: {explain(error)}")
                continue
            figures = result.stats
            line = result.protocol_line
            count = len(result.dataset)
            ap, ap50 = figures["AP"], figures["AP50"]
            if ap is None or ap50 is None:
                state.remarks.append(f"No AP of {source.name}: no object counts in {count} images")
                continue
            known[key] = Accuracy(ap, ap50, count, line)
        entry.accuracy = known[key]


def _shares(plan: BenchmarkPlan, phase: str) -> Callable[[int, int], None]:
    """Progress in images, told as a share."""
    return lambda done, total: plan.progress(phase, done / total)


def close_all(state: BenchmarkState) -> None:
    """End every engine."""
    for entry in state.entries:
        if entry.predictor is not None:
            entry.predictor.close()
            entry.predictor = None


@contextmanager
def _attempt(entry: Entry) -> Iterator[None]:
    """Turn an exception into the entry's problem, so that the others go on."""
    try:
        yield
    except Exception as error:  # whatever it is: of a runtime, its driver, the model
        entry.problem = explain(error)
