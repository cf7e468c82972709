"""Small files of others, as deep and as long as it takes to hurt."""

import json
import tomllib

import pytest

from bounded import bounded
from scantling.cli.command import read_settings
from scantling.cli.predict import PredictOptions
from scantling.errors import InvalidSettings
from scantling.specs.parsing import MAX_DEPTH, parse_json, parse_toml
from scantling.training.resolve import parse_settings, read_run_file

DEEP = {
    "dots of a key": "a" + ".a" * 50_000 + " = 1\n",
    "quoted parts of a key": 'a."\\"".\'.\' . ' * 2_000 + "a = 1\n",
    "dots of the name of a table": "[" + "a." * 50_000 + "a]\n",
    "dots in a table within a line": "x = {" + "a ." * 50_000 + "a = 1}\n",
    "lists": "epochs = " + "[" * 20_000,
    "lists that end": "epochs = " + "[" * 200 + "]" * 200,
    "tables": "x = " + "{a = " * 200 + "1" + "}" * 200,
}


@pytest.mark.parametrize("case", DEEP)
def test_toml_that_is_too_deep_is_refused(case: str, tmp_path):
    with bounded(), pytest.raises(ValueError, match=r"deep|parts"):
        parse_toml(DEEP[case])
    (tmp_path / "a.toml").write_text(DEEP[case])
    with bounded(), pytest.raises(InvalidSettings, match=r"a\.toml"):
        read_run_file(tmp_path / "a.toml")
    with bounded(), pytest.raises(InvalidSettings, match=r"a\.toml"):
        read_settings(PredictOptions, [str(tmp_path / "a.toml")])


@pytest.mark.parametrize(
    "text",
    [
        'title = "1.2.3"\n[a.b.c]\nd.e = [1, 2.5]\n"x.y" = {z = 1}\n',
        'note = "' + "see www. " * 100 + '"\n',
        "# " + "." * 500 + "\nx = 1\n",
        "x = [" + "0.5, " * 5_000 + "]\n",
        "k" * 500_000 + " = 1\n",
    ],
)
def test_other_toml_is_read_as_it_is_written(text: str):
    with bounded():
        assert parse_toml(text) == tomllib.loads(text)


def test_many_unfinished_keys_take_no_time_each():
    with bounded(), pytest.raises(ValueError, match="line 1"):
        parse_toml("a.a " * 200_000)
    with bounded(), pytest.raises(ValueError, match="line 1"):
        parse_toml('"' * 900_000)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "[" * 65 + "]" * 65])
def test_json_that_is_too_deep_is_refused(text: str):
    with bounded(), pytest.raises(ValueError, match=r"deep|delimiter|Expecting"):
        parse_json(text)


def test_json_is_read_as_it_is_written():
    value = {"a": [1, 2.5, None, {"b": "c"}], "d": []}
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for text in ("NaN", "[-Infinity]", b"\xff", "1" * 5_000):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)


def test_a_setting_on_the_command_line_is_text_where_it_is_no_toml():
    with bounded():
        deep = parse_settings(["epochs=" + "[" * 20_000])
        assert deep == {"epochs": "[" * 20_000}
        with pytest.raises(InvalidSettings, match="so many parts"):
            parse_settings(["a" + ".a" * 50_000 + "=1"])
