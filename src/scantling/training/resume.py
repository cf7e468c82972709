"""Resume a run: what has to be the same as when it began, and what is made again."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..checkpoints.native import is_whole
from ..engines.torch_engine import torch_threads, usual_threads
from ..errors import InvalidData, InvalidSettings, printable
from .accelerator import check_trackers
from .data import fingerprint
from .folder import RunFolder, RunRecord, file_digests, lock_folder, read_metrics, read_settings
from .loop import seeded
from .resolve import resolve_recipe
from .run import Run, fitness
from .setup import build_run, process_rank
from .state import load_state, read_notes

logger = logging.getLogger(__name__)


def resume_run(
    folder: str | Path,
    *,
    cache: str | Path | None = None,
    trackers: Sequence[str] = (),
    trust: bool = False,
) -> Run:
    """Resume a run from its last saved state, as if it had never been stopped.

    Once it has saved a state it needs nothing but its folder and the data. A model, weights or
    labels that are other than when it began are refused.

    Args:
        folder: of the run.
        cache, trackers: as for `open_run`.
        trust: run the Python files that its settings name as transforms.

    Raises:
        InvalidSettings: the folder is not that of a run, or names Python files.
        InUse: another process goes on with it.
        ScantlingError: as `open_run`; data or weights changed.
    """
    home = RunFolder(Path(folder))
    record = read_settings(home)
    args = replace(record.args, trackers=tuple(trackers)) if trackers else record.args
    check_trackers(args.trackers)
    resumed = replace(record, args=args)
    _require_trust(home, resumed, trust=trust)
    lock = None if process_rank()[0] else lock_folder(home)
    try:
        run = _resume(home, resumed, cache=cache)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    run.lock = lock
    return run


def _resume(home: RunFolder, record: RunRecord, *, cache: str | Path | None) -> Run:
    notes = read_notes(home.state) if home.state.exists() else None
    _require_same_files(record, needed=notes is None)
    args = record.args
    layers = [("resumed", record.recipe)]
    with seeded(args.seed), torch_threads(usual_threads()):
        run = build_run(home, args, layers, cache=cache, resumed=True, notes=notes)
    now = fingerprint(run.training_set.dataset, run.validation)
    changed = [name for name, value in record.data.items() if now.get(name) != value]
    if changed:
        raise InvalidData(
            args.data,
            f"it is not what the run began with: {', '.join(changed)} changed",
            "Begin a new run, from its last.safetensors if you like",
        )
    run.resolved = replace(run.resolved, sources=record.sources)
    if notes is not None:
        load_state(run.state, home.state)
        run.restore(notes)
        _restore_models(run)
    return run


def _require_trust(home: RunFolder, record: RunRecord, *, trust: bool) -> None:
    """Refuse to run Python files that the folder of a run names, which may be somebody else's."""
    augment = resolve_recipe([("resumed", record.recipe)]).recipe.augment
    code = [one.name for one in augment.extra if ":" in one.name]
    if code and not trust:
        problem = f"names Python files to run: {printable(', '.join(code), limit=300)}"
        fix = "If they are yours, add --set trust=true (in Python, trust=True)"
        raise InvalidSettings([f"{home.settings}: {problem}. {fix}"])


def _require_same_files(record: RunRecord, *, needed: bool) -> None:
    """Refuse another model or weights than the run began with; they may be gone unless needed."""
    now = file_digests(record.args)
    changed = [
        f"{getattr(record.args, name)}: it is not the file of the {name} that the run began with"
        for name, digest in record.digests.items()
        if name in now and now[name] != digest
    ]
    if changed:
        fix = "Put the old one back, or begin a new run"
        if not needed:
            fix += "; or move it away, as the run has what it needs in its folder"
        raise InvalidSettings([f"{line}. {fix}" for line in changed])


def _restore_models(run: Run) -> None:
    """Make models that are gone or cut anew, as far as the state of a run holds them."""
    rows = read_metrics(run.folder)
    if not rows or not run.trainer.accelerator.is_main_process:
        return
    if not is_whole(run.folder.last):
        logger.info(f"{run.folder.last} is gone or damaged; it is made again")
        run.save_weights(run.folder.last)
    if is_whole(run.folder.best):
        return
    judged = [row for row in rows if row.get("AP") is not None]
    chosen = max(judged, key=fitness, default=rows[-1])
    if chosen["step"] == run.state.done:
        logger.info(f"{run.folder.best} is gone or damaged; it is made again")
        run.save_weights(run.folder.best)
        return
    run.best = None  # the next evaluation is the best there is
    logger.warning(
        f"{run.folder.best} is gone or damaged, and nothing holds the weights of epoch"
        f" {chosen['epoch']} any more; {run.folder.last.name} has those of the last epoch"
    )
