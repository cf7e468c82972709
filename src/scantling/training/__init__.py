"""Train a model: recipe, plan, loop, EMA, resume; a run event by event, and its folder."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .folder import RunFolder as RunFolder
    from .loop import StepDone as StepDone
    from .model import Normalize as Normalize
    from .resume import resume_run as resume_run
    from .run import EpochDone as EpochDone, Run as Run, fitness as fitness
    from .setup import open_run as open_run, train as train
    from .stopping import stop_signals as stop_signals

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "folder": ["RunFolder"],
        "loop": ["StepDone"],
        "model": ["Normalize"],
        "resume": ["resume_run"],
        "run": ["EpochDone", "Run", "fitness"],
        "setup": ["open_run", "train"],
        "stopping": ["stop_signals"],
    },
)
