"""Writes the table at the end of docs/darknet.md: every option of darknet, and what we do."""

from itertools import groupby
from pathlib import Path

from scantling.darknet.options import SECTIONS, UNSUPPORTED, Rule, rules_of

PAGE = Path(__file__).with_name("darknet.md")
HEADING = "## Every option\n"
INTRODUCTION = """
Made by `python docs/darknet.py` from `src/scantling/darknet/options.py`; a test holds it against
the list of names that AlexeyAB's parser reads. *Supported*: read for the network, its detections or
its training. *No effect*: on no box, score or weight. *Not trained*: it changes training only, and
is not offered: `scantling train` goes on without it and says so in a warning, but for the value
shown, which does nothing. *Refused*: an error, but for the value shown. An option that stands
nowhere here is an error.

| section | options | what we do | |
| --- | --- | --- | --- |
"""


def row(section: str, names: list[str], rule: Rule) -> str:
    """One line: the options of a section that one rule is for."""
    only = "" if rule.inert is None else f", but for {rule.inert:g}"
    options = ", ".join(f"`{name}`" for name in names)
    return f"| {section} | {options} | {rule.outcome}{only} | {rule.why} |\n"


def rows(section: str, rules: dict[str, Rule]) -> str:
    """The lines of one section."""
    found: dict[Rule, list[str]] = {}
    for name, rule in rules.items():
        found.setdefault(rule, []).append(name)
    return "".join(row(section, names, rule) for rule, names in found.items())


def table() -> str:
    """All lines."""
    any_layer = dict(rules_of("empty"))
    lines = rows("any layer", any_layer)
    for kind in SECTIONS:
        own = {name: rule for name, rule in rules_of(kind).items() if name not in any_layer}
        if kind == "net":
            own = dict(rules_of(kind))
        lines += rows(f"`[{kind}]`", own) or f"| `[{kind}]` | – | supported | the layer |\n"
    for why, kinds in groupby(sorted(UNSUPPORTED, key=UNSUPPORTED.__getitem__), UNSUPPORTED.get):
        names = ", ".join(f"`[{kind}]`" for kind in kinds)
        lines += f"| {names} | all | refused | {why} |\n"
    return lines


def page() -> str:
    """The whole page: what is written by hand, and the table."""
    written = PAGE.read_text("utf-8").partition(HEADING)[0]
    return written + HEADING + INTRODUCTION + table()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
