"""No dependency, in any extra, is under the GPL or the AGPL."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

COPYLEFT = re.compile(
    r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE
)
TOOLS = ("mypy", "ruff")  # `.ci/run` checks these too, where they are installed


def stated_licence(package: Distribution) -> str:
    """What a distribution says of its licence, without the text of the licence itself."""
    metadata = package.metadata
    stated = [metadata.get("License-Expression") or (metadata.get("License") or "").split("\n")[0]]
    stated += [line for line in metadata.get_all("Classifier", []) if line.startswith("License")]
    return "; ".join(stated)


def resolved(name: str) -> dict[str, Distribution]:
    """Every distribution that `name` and all of its extras bring along, as installed here."""
    found: dict[str, Distribution] = {}
    extras = distribution(name).metadata.get_all("Provides-Extra") or []
    queue = [Requirement(f"{name}[{','.join(extras)}]")]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        wanted = queue.pop()
        key = (wanted.name.lower(), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            package = found[wanted.name.lower()] = distribution(wanted.name)
        except PackageNotFoundError:
            if wanted.name in TOOLS:  # of the extra `dev`, which README's test command leaves out
                continue
            pytest.fail(f"{wanted.name} is required but not installed: pip install '.[dev]'")
        for line in package.requires or []:
            requirement = Requirement(line)
            active = [{"extra": extra} for extra in ("", *wanted.extras)]
            if requirement.marker is None or any(map(requirement.marker.evaluate, active)):
                queue.append(requirement)
    return found


def test_no_dependency_of_any_extra_is_gpl_or_agpl():
    packages = resolved("scantling")
    assert {"torch", "numpy", "supervision"} <= set(packages)
    offenders = [
        f"{name}: {stated_licence(package)}"
        for name, package in packages.items()
        if COPYLEFT.search(stated_licence(package))
    ]
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("AGPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GPL-2.0", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-2.1", False),
        ("GNU Lesser General Public License v3", False),
        ("Apache-2.0", False),
    ],
)
def test_copyleft_is_told_from_what_we_may_use(licence: str, refused: bool):
    assert bool(COPYLEFT.search(licence)) is refused
