"""Which files of the package run a function during one command.

    python tools/flow.py predict ../shared/assets/images/bus.jpg --model yolov4-tiny.cfg

Prints how many, then each with the functions that ran. Code that only defines things (the bodies of
modules and classes) does not count.
"""

import sys
import threading
from collections import defaultdict
from inspect import CO_NEWLOCALS, CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType

import scantling

ROOT = Path(scantling.__file__).parent


def trace(argv: list[str]) -> tuple[int, dict[str, set[str]]]:
    """Run one command; its exit code, and the functions that ran in each file."""
    seen: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    from scantling.cli import main

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        code = main(argv)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    files: dict[str, set[str]] = defaultdict(set)
    for ran in seen:
        path = Path(ran.co_filename)
        defines = ran.co_qualname.startswith("<")  # a comprehension in the body of a module
        if ran.co_flags & CO_OPTIMIZED and ran.co_flags & CO_NEWLOCALS and not defines:
            if ROOT not in path.parents:
                continue
            files[str(path.relative_to(ROOT))].add(ran.co_qualname)
    return code, dict(sorted(files.items()))


def main() -> None:
    """Run the command that stands behind the script's name."""
    code, files = trace(sys.argv[1:])
    for name, functions in files.items():
        print(f"{name}: {', '.join(sorted(functions))}", file=sys.stderr)
    count = sum(map(len, files.values()))
    print(f"{len(files)} files ran {count} functions; exit code {code}", file=sys.stderr)


if __name__ == "__main__":
    main()
