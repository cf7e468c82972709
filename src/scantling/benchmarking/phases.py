"""The phases of a benchmark: each alone, then all by turns, then in stretches, then how good."""

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
from .process import run_alone
from .turns import SHORT, Standing, prepare, take_stretch, take_turn

STARTS = 2  # processes of each contender: the first may convert, the second finds it done
OF_TURNS = 0.6  # share of the time that goes to turns; the rest to stretches
FEWEST, MOST = 10, 1000  # turns
STRETCHES = 5
PROTOCOL = "coco"


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Args:
        images: files.
        seconds: for each contender, of turns and stretches.
        rounds: turns; None for as many as the time allows.
        warm_up: turns that do not count.
        cache: folder for what is downloaded or converted.
        progress: told the phase and which share of it is done.
    """

    images: Sequence[Path]
    seconds: float
    rounds: int | None
    warm_up: int
    cache: Path | None
    progress: Callable[[str, float], None]


@dataclass(eq=False)
class Field:
    """All that take part, and what there is to say about them as a whole."""

    standings: list[Standing]
    remarks: list[str] = field(default_factory=list)

    @property
    def running(self) -> list[tuple[Standing, Predictor]]:
        """Those that work, with their predictors."""
        return [(one, one.running) for one in self.standings if one.running is not None]


def start_each_alone(field: Field, plan: Plan) -> None:
    """Measure start-up and memory; who fails here takes no further part."""
    steps = len(field.standings) * STARTS
    for number, standing in enumerate(field.standings):
        for start in range(STARTS):
            plan.progress("starting each alone", (number * STARTS + start) / steps)
            said = run_alone(standing.contender, plan.images, cache=plan.cache)
            if said.problem is not None:
                standing.problem = said.problem
                break
            standing.starts.append(said)


def load_all(field: Field, plan: Plan) -> None:
    """Load every contender into this process, and let it warm up."""
    for number, standing in enumerate(field.standings):
        plan.progress("loading", number / len(field.standings))
        if standing.problem is not None:
            continue
        with _attempt(standing):
            predictor = load(**standing.contender.settings, selection=Selection(), cache=plan.cache)
            prepare(standing, predictor, plan.images[0])
    for number in range(plan.warm_up):
        plan.progress("warming up", number / plan.warm_up)
        for standing, predictor in field.running:
            with _attempt(standing):
                turn = take_turn(standing, predictor, plan.images, number)
                standing.short = turn.network.seconds < SHORT


def take_turns(field: Field, plan: Plan) -> None:
    """Let them take turns, A B C A B C, until the time is over. Only whole rounds count."""
    budget = plan.seconds * len(field.running) * OF_TURNS
    start = perf_counter()
    for number in range(plan.rounds or MOST):
        if not field.running:
            break
        share = (perf_counter() - start) / budget
        if plan.rounds is None and share >= 1 and number >= FEWEST:
            break
        plan.progress("taking turns", number / plan.rounds if plan.rounds else min(1.0, share))
        taken = []
        for standing, predictor in field.running:
            with _attempt(standing):
                taken.append((standing, take_turn(standing, predictor, plan.images, number)))
        for standing, turn in taken:
            standing.turns.append(turn)


def take_stretches(field: Field, plan: Plan) -> None:
    """Let them work without a pause for a while each, in turn. Only whole rounds count."""
    count = STRETCHES if plan.rounds is None else min(STRETCHES, plan.rounds)
    seconds = plan.seconds * (1 - OF_TURNS) / (2 * STRETCHES)
    for number in range(count):
        plan.progress("working without a pause", number / count)
        taken = []
        for standing, predictor in field.running:
            with _attempt(standing):
                stretch = take_stretch(standing, predictor, plan.images, seconds)
                taken.append((standing, stretch))
        for standing, stretch in taken:
            standing.stretches.append(stretch)


def judge_all(field: Field, plan: Plan, dataset: Dataset, limit: int | None) -> None:
    """Evaluate each model once for each engine, precision and size that it runs in."""
    known: dict[tuple[Source, str, str, tuple[int, int]], Accuracy] = {}
    selection = selection_for(PROTOCOL)
    for standing, predictor in field.running:
        engine = predictor.engine
        source = standing.contender.source
        key = (source, engine.name, engine.precision, engine.image_size)
        if key not in known:
            judge = Predictor(
                engine, predictor.names, input_spec=predictor.input_spec, selection=selection
            )
            phase = f"evaluating {source.name}, {engine.name} {engine.precision}"
            try:
                result = evaluate(
                    judge,
                    dataset,
                    protocol=PROTOCOL,
                    limit=limit,
                    batch_size=standing.contender.batch,
                    progress=_shares(plan, phase),
                )
            except Exception as error:  # its times stay: they are as good without
                field.remarks.append(f"No AP of {source.name}: {explain(error)}")
                continue
            figures = result.stats
            line = result.protocol_line
            count = len(result.dataset)
            known[key] = Accuracy(figures["AP"], figures["AP50"], count, line)
        standing.accuracy = known[key]


def _shares(plan: Plan, phase: str) -> Callable[[int, int], None]:
    """Progress in images, told as a share."""
    return lambda done, total: plan.progress(phase, done / total)


def close_all(field: Field) -> None:
    """End every engine."""
    for standing in field.standings:
        if standing.predictor is not None:
            standing.predictor.engine.close()
            standing.predictor = None


@contextmanager
def _attempt(standing: Standing) -> Iterator[None]:
    """Note what goes wrong, so that the others go on."""
    try:
        yield
    except Exception as error:  # whatever it is: of a runtime, its driver, the model
        standing.problem = explain(error)
