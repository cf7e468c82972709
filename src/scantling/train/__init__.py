"""Train a model: set a run up, go through it event by event, keep everything in its folder."""

from .begin import open_run, resume_run, train
from .folder import RunFolder
from .run import EpochDone, Run, StepDone, fitness

__all__ = [
    "EpochDone",
    "Run",
    "RunFolder",
    "StepDone",
    "fitness",
    "open_run",
    "resume_run",
    "train",
]
