"""Every deliberate error, in one tree; `lookup`, which suggests the nearest name; plain words."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Self, TypeVar

T = TypeVar("T")

LONGEST_LINE, LONGEST_MESSAGE = 2_000, 40_000  # letters of what is told; the rest is cut
_SHOWN = 100  # names in a message, before only the nearest are
# What has near names that are other things: only letters left out or in disorder are an error of
# typing there.
ALIKE = frozenset({"kind of NMS", "loss", "normalisation", "precision", "protocol"})


class ScantlingError(Exception):
    """Base class. The command line prints the message alone, without a traceback.

    Names in it come from files of others: see `as_message`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(as_message(message))

    def __str__(self) -> str:
        return str(self.args[0])  # whatever else a class is, such as an OSError


class UnknownName(ScantlingError):
    """Say what was asked for, the nearest real name, and every name there is."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        shown = ", ".join(names)
        if len(names) > _SHOWN:
            near = get_close_matches(name[:LONGEST_LINE], names, n=10, cutoff=0.0)
            shown = f"{', '.join(near)} and {len(names) - len(near)} others"
        super().__init__(
            f"No {what} is called {name!r}.{_hint_of(what, name, names)} Known: {shown}."
        )


class InvalidSpec(ScantlingError):
    """Say which model, what is wrong, and what to write instead."""

    def __init__(self, model: str, problem: str, fix: str) -> None:
        super().__init__(f"Model {model!r}: {problem}. {fix}.")


class InvalidValue(ScantlingError):
    """Say which setting, what was given, and what is expected."""

    def __init__(self, setting: str, given: object, expected: str) -> None:
        super().__init__(f"{setting} is {_spell(given)}; expected {expected}.")
        self.setting = setting
        self.given = given
        self.expected = expected


class InvalidCfg(ScantlingError):
    """Say where in a darknet `.cfg` something stands that is not supported, and what to do."""

    def __init__(self, source: str, line: int, section: str, problem: str, fix: str) -> None:
        where = f"{source}:{line}: [{section}]" if section else f"{source}:{line}:"
        super().__init__(f"{where} {problem}. {fix}.")


class InvalidWeights(ScantlingError):
    """Say which weights file does not fit, and what was expected."""

    def __init__(self, source: str, problem: str, fix: str) -> None:
        super().__init__(f"Weights {source}: {problem}. {fix}.")


class InvalidCheckpoint(ScantlingError):
    """Say which checkpoint does not fit, and what was expected."""

    def __init__(self, source: str, problem: str, fix: str) -> None:
        super().__init__(f"Checkpoint {source}: {problem}. {fix}.")


class UnsafeCheckpoint(InvalidCheckpoint):
    """A pickle that asks for more than tensors and plain containers. Nothing of it was run."""


class InvalidExport(ScantlingError):
    """Say which exported file cannot be used, or which model cannot be exported, and what to do."""

    def __init__(self, source: str, problem: str, fix: str) -> None:
        super().__init__(f"Export {source}: {problem}. {fix}.")


class InvalidProfile(ScantlingError):
    """Say which device profile cannot be used, why, and what to do."""

    def __init__(self, source: str, problem: str, fix: str) -> None:
        super().__init__(f"Device profile {source}: {problem}. {fix}.")


class ExportDiffers(ScantlingError):
    """What was exported is not the model it was made from, so it was not kept. Say what differs."""

    def __init__(self, target: str, difference: str, fix: str) -> None:
        super().__init__(f"{target} was not written: {difference}. {fix}.")


class DownloadFailed(ScantlingError):
    """Say what could not be fetched, why, and where to put the file by hand."""

    def __init__(self, url: str, problem: str, fix: str) -> None:
        super().__init__(f"Cannot download {url}: {problem}. {fix}.")


class InvalidSource(ScantlingError):
    """Say which image, folder, video or stream cannot be read, and why."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}.")
        self.source = source
        self.problem = problem

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:  # to come from another process
        return type(self), (self.source, self.problem)


class InvalidData(ScantlingError):
    """Say which data set cannot be used, what is wrong, and what to do.

    Args:
        findings: the same, as `data check` reports it: a tuple of `datasets.findings.Finding`.
    """

    def __init__(
        self, source: str, problem: str, fix: str, *, findings: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(f"Data {source}: {problem}. {fix}.")
        self.source = source
        self.problem = problem
        self.findings = findings


class InvalidSettings(ScantlingError):
    """Say everything that is wrong with the settings of a run, at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        lines = list(problems)
        super().__init__("Settings that do not hold:\n" + "\n".join(f"  {line}" for line in lines))
        self.problems = tuple(lines)


class CannotWrite(ScantlingError, OSError):
    """Say which file or folder cannot be written, why, and what to do; `errno` is the system's."""

    def __init__(self, path: str, problem: str, fix: str, *, errno: int | None = None) -> None:
        super().__init__(f"{path} cannot be written: {problem}. {fix}.")
        self.filename, self.strerror, self.errno = path, problem, errno

    def __reduce__(self) -> tuple[type[ScantlingError], tuple[str]]:  # from another process
        return ScantlingError, (str(self),)


class InUse(ScantlingError):
    """Say what another process is writing, and which one."""

    def __init__(self, what: str, holder: str) -> None:
        by = holder or "another process"
        super().__init__(
            f"{what} is being written by {by}. Wait until that has ended, or name another place."
        )


class InfeasibleBudget(ScantlingError):
    """Say which constraint no model meets, and the smallest value that can be reached.

    Args:
        constraint: such as `latency`.
        problem: what is asked for, and what is the least.
        fix: what to change.
    """

    def __init__(self, constraint: str, problem: str, fix: str) -> None:
        super().__init__(f"No model fits the budget: {problem}. {fix}.")
        self.constraint = constraint
        self.problem = problem
        self.fix = fix


class TrainingDiverged(ScantlingError):
    """Say which part of the loss broke, and on which images."""

    def __init__(self, terms: str, image_ids: Iterable[int | str]) -> None:
        ids = ", ".join(str(image) for image in image_ids)
        super().__init__(
            f"The loss is no longer finite: {terms}. Images of the update: {ids}. Look at their "
            "labels with `scantling data check`, or lower optimizer.learning_rate."
        )


class WorkerLost(ScantlingError):
    """A process that reads images ended before its work did, and what to do about it."""

    def __init__(self) -> None:
        super().__init__(
            "A process that reads images was ended from outside, or there was no memory for it. "
            "Use fewer workers; in a script, put what starts them below "
            'if __name__ == "__main__":.'
        )


class NotEnoughMemory(ScantlingError):
    """Say what needs more memory than there is, how much, and what to do."""

    def __init__(self, what: str, problem: str, fix: str) -> None:
        super().__init__(f"{what} needs more memory than there is: {problem}. {fix}.")


class EngineUnusable(ScantlingError):
    """Say which engine can be used no more, or not here, why, and what to do."""

    def __init__(self, engine: str, problem: str, fix: str) -> None:
        super().__init__(f"The engine {engine} {problem}. {fix}.")


class MissingPackage(ScantlingError):
    """Say which package a feature needs, and how to install it: by an extra of ours, if any."""

    def __init__(self, package: str, feature: str, *, extra: str | None = None) -> None:
        wanted = package if extra is None else f"'scantling[{extra}]'"
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed. "
            f"Run: pip install {wanted}."
        )


class NeedsTorch(ScantlingError):
    """Say what cannot be done where PyTorch is not installed, and what can."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs PyTorch, which is not installed. Where it is, export the model "
            "(`scantling export MODEL --to openvino`), and name the exported file here; or run: "
            "pip install 'scantling[torch]'."
        )


def printable(text: object, *, limit: int | None = None, keep: str = "") -> str:
    r"""Untrusted text that is safe to print: nothing in it steers a terminal or turns it round.

    Control and formatting characters, and what is half a character, become U+FFFD.

    Args:
        text: taken as `str` has it.
        limit: of letters; longer text is cut and ends in an ellipsis.
        keep: characters to leave as they are, such as line breaks.

    >>> printable("a\x1b[31mb", limit=4)
    'a\ufffd[…'
    """
    shown = str(text)
    if limit is not None and len(shown) > limit:
        shown = f"{shown[: limit - 1]}…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in keep else "\ufffd" for c in shown)


def as_message(text: object) -> str:
    r"""What is told to a person, whatever it quotes: `printable`, and cut.

    A line that follows another is set in, so that none of a quoted name can pass for a message.

    >>> as_message("a\x1b[31mb\nscantling: all is well")
    'a\ufffd[31mb\n  scantling: all is well'
    """
    lines = str(text)[:LONGEST_MESSAGE].split("\n")
    shown = [printable(line, limit=LONGEST_LINE) for line in lines]
    return "\n".join([shown[0], *(line if line[:2] == "  " else f"  {line}" for line in shown[1:])])


def counted(count: int, what: str, plural: str | None = None) -> str:
    """So many of something, in words.

    >>> counted(1, "image"), counted(2000, "image"), counted(0, "class", "classes")
    ('1 image', '2,000 images', '0 classes')
    """
    return f"{count:,} {what if count == 1 else plural or f'{what}s'}"


def unreadable(error: BaseException) -> str:
    """Why a file cannot be opened: that it is not there, or what the system says.

    >>> unreadable(FileNotFoundError(2, "No such file or directory"))
    'there is no such file'
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "there is no such file"
    reason = (getattr(error, "strerror", None) or str(error))[:200]
    # what is no file is said by `io.regular_size`
    return f"it {reason}" if reason.startswith("is ") else f"it cannot be read ({reason})"


def nearest_hint(name: str, known: Iterable[str], *, same_letters: bool = False) -> str:
    """` Did you mean 'x'?` with a leading space, or nothing when no name is near.

    Args:
        name: what was given.
        known: the names there are.
        same_letters: only one that differs in capitals, blanks, hyphens and underscores: where a
            name that is merely spelt alike is another thing, as `selu` is for `silu`.
    """
    names = list(known)
    nearest = [one for one in names if _bare(one) == _bare(name)]
    if not nearest and not same_letters:
        nearest = get_close_matches(name[:LONGEST_LINE], names, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def _hint_of(what: str, name: str, names: list[str]) -> str:
    """A hint that is never another thing of a like name, such as `diou` for `ciou`."""
    if what in ALIKE:
        names = [one for one in names if set(_bare(name)) <= set(_bare(one))]
    return nearest_hint(name, names, same_letters=what == "activation")


def _spell(value: object) -> str:
    """A value as Python writes it, whatever it is."""
    try:
        return repr(value)
    except (ValueError, RecursionError):  # of 5,000 digits; lists within lists
        return f"a value of type {type(value).__name__} that is too large to be shown"


def _bare(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")


def lookup(table: Mapping[str, T], name: str, what: str) -> T:
    """`table[name]`, or an error that helps.

    Raises:
        UnknownName: `table` has no such name.
    """
    if name not in table:
        raise UnknownName(what, name, table)
    return table[name]
