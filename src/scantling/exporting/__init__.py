"""A model → one file that another runtime runs, proved to be the same model."""

from ..engines.formats import FORMATS, Format
from .run import Exported, export

__all__ = ["FORMATS", "Exported", "Format", "export"]
