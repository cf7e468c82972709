"""`--set NAME=VALUE`: the rarer settings of a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from scantling.cli.command import FromEnvironment, Setting, fill, option, read_settings, spell
from scantling.errors import InvalidSettings


@dataclass(frozen=True)
class Options:
    """Of a command that does not exist."""

    model: Annotated[str, typer.Argument(metavar="MODEL")] = ""
    min_score: Annotated[float, option("Result", "An option.")] = 0.5
    nms: Annotated[Literal["greedy", "diou"], Setting("A word.")] = "greedy"
    clip: Annotated[bool, Setting("A switch.")] = True
    threads: Annotated[int | None, Setting("A number.", min=1)] = None
    tile: Annotated[str | None, Setting("A size.")] = None
    names: Annotated[Path | None, Setting("A file.")] = None
    cache: Annotated[Path | None, FromEnvironment("A_FOLDER", "a folder.")] = None


def test_settings_have_the_types_of_their_fields():
    words = ["nms=diou", "clip=false", "threads=4", "tile=640", "names=a=b.names"]
    assert read_settings(Options, words) == (
        {"nms": "diou", "clip": False, "threads": 4, "tile": "640", "names": Path("a=b.names")},
        [],
    )


def test_the_last_of_two_wins_and_a_file_may_hold_them(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text('nms = "diou"\nclip = false\nthreads = 2\n')
    values, _ = read_settings(Options, [str(file), "threads=3"])
    assert values == {"nms": "diou", "clip": False, "threads": 3}


def test_all_that_is_wrong_is_said_at_once():
    words = ["nms=gredy", "clp=1", "clip=often", "threads=0", "min_score=1", "diou", "none.toml"]
    with pytest.raises(InvalidSettings) as caught:
        read_settings(Options, words[:-1])
    nms, clp, clip, threads, score, word = caught.value.problems
    assert nms.startswith("nms: 'gredy' given; input should be 'greedy' or 'diou'")
    assert "clp: there is no such setting. Did you mean 'clip'?" in clp
    assert clip.startswith("clip: 'often' given")
    assert threads == "threads: '0' given; expected 1 or more"
    assert score == "min_score: is an option of its own: --min-score"
    assert word == "'diou': expected NAME=VALUE, or a .toml file"
    with pytest.raises(InvalidSettings, match=r"none\.toml: there is no such file"):
        read_settings(Options, words[-1:])


def test_the_environment_gives_what_is_the_same_for_all_commands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_FOLDER", "there")
    assert fill(Options, {"set": ["threads=2"]}) == {"threads": 2, "cache": Path("there")}
    monkeypatch.delenv("A_FOLDER")
    assert fill(Options, {"set": None}) == {"cache": None}


def test_a_message_spells_a_field_as_it_is_given():
    assert spell(Options, "min_score") == "--min-score"
    assert spell(Options, "nms") == "--set nms"
    assert spell(Options, "model") == "MODEL"
