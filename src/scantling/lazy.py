"""Packages whose names are imported when they are first used."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package.

    Args:
        package: its `__name__`.
        homes: the public names in each of its modules.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{home_of[name]}", package), name)
        setattr(sys.modules[package], name, value)  # found there the next time
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *home_of}), sorted(home_of)


def import_late(package: str, module: str, name: str) -> Callable[..., Any]:
    """A function or class of another module, which is imported when it is first called.

    Args:
        package: `__name__` of the package that the module is in.
        module: its name there.
        name: of the function or class.
    """

    def call(*args: Any, **options: Any) -> Any:
        return getattr(import_module(f".{module}", package), name)(*args, **options)

    return call
