"""Data set → findings: what is wrong with it, with a report for people and one for machines."""

from .report import render_report
from .result import CheckResult, ModelLevels, summarise, to_record
from .run import check_dataset, check_quickly, require_objects, require_sound

__all__ = [
    "CheckResult",
    "ModelLevels",
    "check_dataset",
    "check_quickly",
    "render_report",
    "require_objects",
    "require_sound",
    "summarise",
    "to_record",
]
