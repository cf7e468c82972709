"""What the README and the docs show works as shown, and says what is there."""

import re
import runpy
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from scantling.cli import COMMANDS, GROUPS, main
from scantling.cli.command import Setting, as_command, find_marks
from scantling.cli.data.show import DataShowOptions
from scantling.cli.train import TrainOptions
from scantling.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in fences if name == language]


def commands(page: Path) -> list[list[str]]:
    """Every `scantling …` line of a page's shell blocks, as words."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("scantling ")]


@pytest.fixture
def desk(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    assets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A working folder with the files that the pages speak of."""
    weights = assets / "weights" / "yolov4-tiny-coco"
    for suffix in ("cfg", "weights"):
        shutil.copy(weights / f"yolov4-tiny.{suffix}", tmp_path)
    shutil.copy(weights / "coco.names", tmp_path / "yolov4-tiny.names")
    shutil.copy(assets / "images" / "darknet" / "dog.jpg", tmp_path)
    shutil.copy(assets / "video" / "road.mp4", tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("eagle.jpg", "horses.jpg"):
        shutil.copy(assets / "images" / "darknet" / name, tmp_path / "photos")
    write_street(tmp_path, assets / "datasets" / "coco-val2017-first128")
    cache = tmp_path_factory.getbasetemp() / "cache"  # one for all pages: they use the same models
    monkeypatch.setenv("SCANTLING_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_street(folder: Path, source: Path) -> None:
    """A small labelled data set, `street.yaml`: eight images of COCO."""
    for image in sorted((source / "images").glob("*.jpg"))[:8]:
        for part, suffix in (("images", ".jpg"), ("labels", ".txt")):
            (folder / "street" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / part / f"{image.stem}{suffix}", folder / "street" / part)
    names = (source / "config.yaml").read_text("utf-8").split("\nnames:")[1]
    (folder / "street.yaml").write_text(f"path: street\nval: images\nnames:{names}", "utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_of_a_page_works(page: Path, desk: Path):
    for words in commands(page):
        assert main(words) == 0, words
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), {"__name__": "__main__"})  # noqa: S102


def test_the_pages_have_examples():
    assert sum(len(commands(page)) for page in PAGES) >= 10
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 3


def spellings(options: Callable[..., Any], run: Callable[[Any], int]) -> set[str]:
    """All that a command takes: `--option`, and of `--set NAME=VALUE` the `NAME`."""
    app = typer.Typer()
    app.command()(as_command(options, run))
    taken = set(Recipe.model_fields) if options in (TrainOptions, DataShowOptions) else set()
    for one in typer.main.get_command(app).params:
        taken |= {*one.opts, *one.secondary_opts}
    return taken | set(find_marks(options, Setting))


TAKEN = {(name,): spellings(*entry) for name, entry in COMMANDS.items()} | {
    (group, name): spellings(*entry)
    for group, (_, table) in GROUPS.items()
    for name, entry in table.items()
}


def given(words: Iterable[str]) -> set[str]:
    """The options on a command line, and the names that `--set` is for."""
    found, words = set(), list(words)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            found.add(word)
        if word == "--set" and following:
            found.add(re.split(r"[.=]", following)[0])
    return found - {"NAME"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_is_there(page: Path):
    text = re.sub(r"\\\n *", "", page.read_text("utf-8"))
    for line in re.findall(r"(?:^|`)scantling ([^`\n]+)", text, re.MULTILINE):
        words = shlex.split(line)
        command = tuple(words[: 1 + (words[0] in GROUPS)])
        if command in TAKEN:
            assert given(words) <= TAKEN[command], line
    if page.name == "options.md":  # in its tables, what went stands before what is there
        text = "\n".join(line.strip("| ").split("|")[-1] for line in text.splitlines())
    for span in re.findall(r"`(--[^`\n]+)`", text):
        assert any(given(shlex.split(span)) <= one for one in TAKEN.values()), span


def test_the_model_page_is_what_the_networks_say():
    script = runpy.run_path(str(ROOT / "docs" / "models.py"))
    assert script["page"]() == (ROOT / "docs" / "models.md").read_text("utf-8")


def test_the_table_of_darknets_options_is_what_the_code_has():
    script = runpy.run_path(str(ROOT / "docs" / "darknet.py"))
    assert script["page"]() == (ROOT / "docs" / "darknet.md").read_text("utf-8")


def test_the_tree_in_the_readme_is_the_tree_of_the_package():
    (tree,) = (block for block in blocks(PAGES[0], "") if "src/scantling/" in block)
    shown = set(re.findall(r"^[├└]── (\w+)(?:/|\.py)", tree, re.MULTILINE))
    parts = {path.stem for path in (ROOT / "src" / "scantling").iterdir() if path.name[0] != "_"}
    assert shown == parts - {"py"}


def test_continuous_integration_runs_the_test_command_of_the_readme():
    (test_command,) = (block for block in blocks(PAGES[0], "sh") if "pytest" in block)
    assert (ROOT / ".ci" / "run").read_text("utf-8").endswith(f"\n{test_command.strip()}\n")
