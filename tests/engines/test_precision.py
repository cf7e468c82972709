"""One answer to which precision is fast here: tables where they are sure, else a measurement."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from scantling.engines import hardware, precision
from scantling.engines.hardware import LEVELS, Processor, find_processor
from scantling.engines.precision import fast_precision, measure_precisions

RUNTIMES = ("torch", "openvino", "onnxruntime")


def processor(*instructions: str, name: str = "one") -> Processor:
    return Processor(name, "GenuineIntel", "x86_64", 2, frozenset(instructions))


CASCADE_LAKE = processor("avx2", "avx512f", "avx512_vnni")
COOPER_LAKE = processor("avx2", "avx512f", "avx512_vnni", "avx512_bf16")
SAPPHIRE_RAPIDS = processor(*COOPER_LAKE.instructions, "avx512_fp16", "amx_bf16", "amx_int8")


@pytest.fixture(autouse=True)
def every_runtime_says_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hardware.LEVEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(precision, "torch_supports", lambda _: True)


class Stopwatch:
    """Measures what it was told, and counts how often it was asked."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def __call__(self, runtime: str, reduced: list[str], training: bool) -> dict[str, float]:
        assert runtime in RUNTIMES
        assert training in (False, True)
        self.asked += 1
        return {name: self.seconds[name] for name in ("fp32", *reduced)}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_an_instruction_for_bf16_nothing_is_measured_and_fp32_is_taken(
    runtime: str, training: bool, tmp_path: Path
):
    watch = Stopwatch(fp32=2.0, bf16=1.0, fp16=1.0)
    chosen = fast_precision(
        runtime, training=training, processor=CASCADE_LAKE, cache=tmp_path, measure=watch
    )
    assert (chosen, watch.asked) == ("fp32", 0)


def test_with_amx_nothing_is_measured_and_bf16_is_taken(tmp_path: Path):
    watch = Stopwatch(fp32=1.0, bf16=2.0, fp16=2.0)
    for runtime, expected in (("torch", "bf16"), ("openvino", "bf16"), ("onnxruntime", "fp32")):
        found = fast_precision(runtime, processor=SAPPHIRE_RAPIDS, cache=tmp_path, measure=watch)
        assert (found, watch.asked) == (expected, 0)


@pytest.mark.parametrize(
    ("seconds", "expected"), [((2.0, 1.0), "bf16"), ((1.0, 1.0), "fp32"), ((1.0, 2.0), "fp32")]
)
def test_in_between_it_is_measured_once(
    seconds: tuple[float, float], expected: str, tmp_path: Path
):
    watch = Stopwatch(fp32=seconds[0], bf16=seconds[1])
    for _ in range(2):
        found = fast_precision("torch", processor=COOPER_LAKE, cache=tmp_path, measure=watch)
        assert found == expected
    assert watch.asked == 1
    # another runtime, another use and another processor are another question
    fast_precision("openvino", processor=COOPER_LAKE, cache=tmp_path, measure=watch)
    fast_precision("torch", training=True, processor=COOPER_LAKE, cache=tmp_path, measure=watch)
    other = processor(*COOPER_LAKE.instructions, name="two")
    fast_precision("torch", processor=other, cache=tmp_path, measure=watch)
    assert watch.asked == 4


def test_a_lowered_level_is_asked_anew_and_does_not_change_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fast, slow = Stopwatch(fp32=2.0, bf16=1.0), Stopwatch(fp32=1.0, bf16=2.0)

    def ask(watch: Stopwatch) -> str:
        return fast_precision("torch", processor=COOPER_LAKE, cache=tmp_path, measure=watch)

    assert ask(fast) == "bf16"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert ask(slow) == "fp32"
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    assert ask(slow) == "bf16"
    assert (fast.asked, slow.asked) == (1, 1)


@pytest.mark.parametrize("kept", [b"", b"[1]", b'{"x": 3}', b"\xff\xfe", None])
def test_a_cache_that_is_damaged_or_cannot_be_written_is_done_without(
    kept: bytes | None, tmp_path: Path
):
    cache = tmp_path / "cache"
    if kept is None:
        cache.write_text("a file where a folder should be")
    else:
        cache.mkdir()
        (cache / "precision.json").write_bytes(kept)
    watch = Stopwatch(fp32=2.0, bf16=1.0)
    assert fast_precision("torch", processor=COOPER_LAKE, cache=cache, measure=watch) == "bf16"
    if kept is not None:
        assert len(json.loads((cache / "precision.json").read_text("utf-8"))) >= 1


def test_what_cannot_be_measured_is_taken_from_tables(tmp_path: Path):
    def fail(*_: object) -> dict[str, float]:
        raise RuntimeError("no such runtime")

    amd = Processor("Zen 4", "AuthenticAMD", "x86_64", 2, COOPER_LAKE.instructions)
    for machine, expected in ((COOPER_LAKE, "fp32"), (amd, "bf16")):
        found = fast_precision("openvino", processor=machine, cache=tmp_path, measure=fail)
        assert found == expected
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("level", "kept", "lost"),
    [
        ("AVX2", {"avx2"}, {"avx512f", "avx512_bf16", "amx_bf16"}),
        ("AVX512_CORE", {"avx512f"}, {"avx512_vnni", "avx512_bf16", "amx_bf16"}),
        ("avx512_core_vnni", {"avx512_vnni"}, {"avx512_bf16"}),
        ("AVX512_CORE_BF16", {"avx512_bf16"}, {"amx_bf16", "avx512_fp16"}),
        ("ALL", {"amx_bf16", "avx512_fp16"}, set()),
        ("nonsense", {"amx_bf16"}, set()),
    ],
)
def test_the_variable_of_onednn_lowers_what_the_processor_is_said_to_have(
    level: str, kept: set[str], lost: set[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hardware, "_probe_processor", lambda: SAPPHIRE_RAPIDS)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", level)
    found = find_processor().instructions
    assert kept <= found
    assert not lost & found
    assert ("bf16" in find_processor().precisions) == ("avx512_bf16" in found)


def test_every_level_keeps_what_the_one_below_keeps():
    dropped = [hardware.ABOVE_LEVEL[level] for level in LEVELS]
    assert all(later <= earlier for earlier, later in pairwise(dropped))


@pytest.mark.parametrize(("runtime", "training"), [("torch", False), ("torch", True)])
def test_a_measurement_times_every_precision(runtime: str, training: bool):
    found = measure_precisions(runtime, [], training)
    assert found.keys() == {"fp32"}
    assert found["fp32"] > 0


def test_openvino_is_measured_too():
    pytest.importorskip("openvino")
    assert measure_precisions("openvino", [], training=False)["fp32"] > 0
