"""One contract, several runtimes: what turns a batch of images into candidates.

Nothing here loads a runtime before an engine is opened, and torch only for what is torch's. Names
are imported when they are first used: the command line reads the tables without NumPy.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .contract import (
        Engine as Engine,
        EngineSettings as EngineSettings,
        Pending as Pending,
        Ready as Ready,
    )
    from .files import read_metadata as read_metadata
    from .formats import FORMATS as FORMATS, Format as Format
    from .hardware import describe_machine as describe_machine
    from .runtimes import (
        ENGINES as ENGINES,
        choose_engine as choose_engine,
        is_exported as is_exported,
        open_engine as open_engine,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "contract": ["Engine", "EngineSettings", "Pending", "Ready"],
        "files": ["read_metadata"],
        "formats": ["FORMATS", "Format"],
        "hardware": ["describe_machine"],
        "runtimes": ["ENGINES", "choose_engine", "is_exported", "open_engine"],
    },
)
