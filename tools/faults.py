"""Let the disk fail at every write of a command, and see that what was there before is whole.

    python tools/faults.py [CASE …] [--every N] [--work FOLDER]

Each case is a command that writes over what an earlier one wrote. It is run once for each call
that changes a file in its folder, in two ways: from that call on the disk is full; or the process
is killed in that call, which is half done. Then every file has to be the old one or the new one,
whole, files that belong together of one age, and the command has to end with 0, or with 2 and a
message. After a kill it is run again, and has to end with 0 and leave nothing of the first.
As root it is also run in a folder of another user, where it may not write. Needs Linux and gcc.
"""

import argparse
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
SOURCE = Path(__file__).with_suffix(".c")
COUNT, FULL, KILL = 1, 2, 3
NOBODY = 65534
LIBRARY = "SCANTLING_FAULTS"
SETS = ((".cfg", ".names", ".weights"), (".xml", ".bin"))


@dataclass(frozen=True)
class Case:
    """A command to break.

    Args:
        words: of the command line, in its folder `out`; `{data}` and the like are filled in.
        before: what is run once in that folder before, each in turn.
        again: the command after a kill, if it is not the same.
        modules: imported beforehand, which saves time.
    """

    words: str
    before: tuple[str, ...] = ()
    again: str = ""
    modules: tuple[str, ...] = ("torch", "cv2", "scantling.training", "scantling.inference")


TRAIN = (
    "train {cfg} --data {data} --device cpu --precision fp32 --epochs 1 --batch-size 2"
    " --set nominal_batch=4 --set loader.workers=0 --set anchors.fit=never --out run"
)
STOPPED = "a run of two epochs that was stopped after the first"
ALL = "images,jsonl,csv,txt,voc,coco,crops"
PREDICT = "predict {images} --model {cfg} --out p --min-score 0.001 --set max_detections=2"
PLAIN = ("cv2", "scantling.datasets.readers", "scantling.datasets.contact_sheets")
CASES = {
    "train": Case(TRAIN, again="train --resume run"),
    "resume": Case("train --resume run", before=(STOPPED,)),
    "export-onnx": Case(
        "export {cfg} --to onnx --out m.onnx", before=("export {other} --to onnx --out m.onnx",)
    ),
    "export-openvino": Case(
        "export {cfg} --to openvino --out m.xml",
        before=("export {other} --to openvino --out m.xml",),
    ),
    "convert": Case("convert {other} m.cfg --overwrite", before=("convert {cfg} m.cfg",)),
    "convert-native": Case(
        "convert {other} m.safetensors --overwrite", before=("convert {cfg} m.safetensors",)
    ),
    "predict": Case(f"{PREDICT} --engine torch --save {ALL}"),
    "predict-video": Case("predict {video} --model {cfg} --engine torch --save video --out p"),
    "predict-openvino": Case(f"{PREDICT} --engine openvino --save jsonl"),
    "evaluate": Case("evaluate {cfg} --data {data} --engine torch --out e"),
    "data-check": Case("data check {data} --out c", modules=PLAIN),
    "data-convert": Case("data convert {data} d --to coco", modules=PLAIN),
    "data-show": Case(
        "data show {data} --out s.png",
        before=("data show {data} --set seed=5 --out s.png",),
        modules=PLAIN,
    ),
    "data-stats": Case(
        "data stats {data} --out s.png",
        before=("data stats {data} --split val --out s.png",),
        modules=PLAIN,
    ),
    "data-stylize": Case("data stylize {data} d --styles {images}", modules=PLAIN),
}


@dataclass
class Result:
    """Points of a case, and what went wrong at which."""

    points: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Bench:
    """Runs commands in copies of a folder, each in a process of its own."""

    def __init__(self, work: Path, *, networks: bool) -> None:
        self.work = work
        self.library = ctypes.CDLL(os.environ[LIBRARY])
        self.library.faults_begin.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
        self.library.faults_count.restype = ctypes.c_long
        self.names = prepare(work, networks=networks)

    def run(
        self, words: str, folder: Path, mode: int = 0, at: int = 0, *, foreign: bool = False
    ) -> "Ended":
        """Run a command in a folder, with a fault."""
        said, counted = self.work / "said.txt", self.work / "count.txt"
        counted.write_text("0")
        child = os.fork()
        if not child:
            code = 99
            try:
                out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.chdir(folder)
                os.environ["SCANTLING_CACHE"] = str(folder / "cache")
                if foreign:
                    drop_rights()
                self.library.faults_begin(mode, at, os.fsencode(folder))
                code = self._main(words)
            except BaseException:  # what a user would see
                traceback.print_exc()
                code = 1
            finally:
                number = self.library.faults_count()
                self.library.faults_begin(0, 0, b"/nowhere")
                if not foreign:
                    counted.write_text(str(number))
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Ended(status, said.read_text("utf-8", "replace"), int(counted.read_text() or 0))

    def _main(self, words: str) -> int:
        from scantling.cli import main

        if words == STOPPED:
            return stop_run(self.names["cfg"], self.names["data"])
        return main([word.format(**self.names) for word in words.split()])


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, what it said, and how many calls could have failed."""

    code: int
    said: str
    calls: int


def prepare(work: Path, *, networks: bool) -> dict[str, str]:
    """Networks, a data set and a video; their paths by name."""
    import cv2
    import numpy as np

    sys.path.insert(0, str(TESTS / "training"))
    from small import write_cfg, write_set

    made = work / "made"
    made.mkdir(parents=True)
    data = write_set(made / "set", images=6)
    names = make_networks(write_cfg(made)) if networks else {}
    video = cv2.VideoWriter(str(made / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 64))
    for grey in range(8):
        video.write(np.full((64, 64, 3), 20 * grey, np.uint8))
    video.release()
    images = str(made / "set" / "images" / "val")
    return {**names, "data": str(data), "images": images, "video": str(made / "v.mp4")}


def make_networks(cfg: Path) -> dict[str, str]:
    """Two networks of other weights, each with its three files."""
    import torch

    from scantling.checkpoints import prepare_model
    from scantling.checkpoints.convert import save_darknet

    for number, name in enumerate(("cfg", "other")):
        torch.manual_seed(number)
        save_darknet(prepare_model(cfg, ("disc", "square")), cfg.with_name(f"{name}.weights"))
    return {name: str(cfg.with_name(f"{name}.cfg")) for name in ("cfg", "other")}


def stop_run(cfg: str, data: str) -> int:
    """Train for the first of two epochs."""
    from scantling.training import EpochDone, open_run

    settings = {
        "epochs": 2,
        "batch": 2,
        "nominal_batch": 4,
        "precision": "fp32",
        "loader": {"workers": 0},
        "anchors": {"fit": "never"},
    }
    run = open_run(cfg, data, settings=settings, device="cpu", out="run", cache="cache")
    for event in run.events():
        if isinstance(event, EpochDone):
            break
    return 0


def drop_rights() -> None:
    """Be stopped by permissions, as everybody but root is; what root owns can still be read."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def digests(folder: Path) -> dict[str, str]:
    """Of every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_whole(path: Path, *, killed: bool) -> bool:
    """Whether a file whose bytes differ from run to run is whole.

    Of one that grows by records, a kill may leave the last record half written.
    """
    import cv2

    suffix = path.suffix
    if suffix == ".json":
        json.loads(path.read_text())
    elif suffix in (".jsonl", ".csv", ".txt"):
        text = path.read_bytes()
        return not text or text.endswith(b"\n") or (killed and suffix in (".jsonl", ".csv"))
    elif suffix in (".png", ".jpg"):
        from scantling.images.read import read_image

        read_image(path)
    elif suffix == ".mp4":
        video = cv2.VideoCapture(str(path))
        return video.isOpened() and video.get(cv2.CAP_PROP_FRAME_COUNT) > 0 and video.read()[0]
    elif suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(str(path), framework="np"):
            pass
    elif suffix == ".html":
        return path.read_text().rstrip().endswith("</html>")
    else:
        return False
    return True


def find_wrong(
    folder: Path, old: dict[str, str], new: dict[str, str], *, killed: bool
) -> Iterator[str]:
    """What is not whole in a folder after a fault."""
    now = digests(folder)
    for name in old:
        if name not in now and not name.startswith("cache/") and not (killed and is_main(name)):
            yield f"{name} is gone"
    for name, digest in now.items():
        path = folder / name
        if name.startswith("cache/") or is_temporary(path.relative_to(folder)):
            if not killed and not name.startswith("cache/"):
                yield f"{name} was left"
            continue
        if digest in (old.get(name), new.get(name)):
            continue
        try:
            whole = is_whole(path, killed=killed)
        except Exception as error:
            yield f"{name} is torn: {error!r:.80}"
        else:
            if not whole:
                yield f"{name} is torn"
    for ends in SETS:
        for name in {Path(one).with_suffix("") for one in now if one.endswith(ends)}:
            parts = [str(name.with_suffix(end)) for end in ends]
            if is_temporary(name) or parts[0] not in now:
                continue  # without the first nothing is read
            if not any(all(now.get(one) == age.get(one) for one in parts) for age in (old, new)):
                yield f"{name} is mixed"


def is_main(name: str) -> bool:
    """Whether a file is the one of a set that is missing while the others are replaced."""
    return name.endswith(tuple(ends[0] for ends in SETS))


def is_temporary(path: Path) -> bool:
    """Whether a path is of a file or folder that is still being written, or is a lock."""
    from scantling.io import LEFT

    return any(LEFT.fullmatch(part) for part in path.parts)


def walk(bench: Bench, name: str, case: Case, every: int) -> Result:
    """Run a case with a fault at every n-th point."""
    for module in case.modules:
        __import__(module)
    result, start, trial = Result(), bench.work / f"{name}-before", bench.work / name
    start.mkdir()
    for words in case.before:
        require_success(bench.run(words, start))
    old = digests(start)
    for mode, called in ((FULL, "full"), (KILL, "killed")):
        fresh(start, trial)
        ended = bench.run(case.words, trial, mode, 10**9)
        require_success(ended)
        new = digests(trial)
        points = range(1, ended.calls + 1, every)
        result.points[called] = len(points)
        for at in points:
            fresh(start, trial)
            ended = bench.run(case.words, trial, mode, at)
            wrong = list(find_wrong(trial, old, new, killed=mode == KILL))
            if mode == FULL and (ended.code not in (0, 2) or "Traceback" in ended.said):
                wrong.append(f"exit {ended.code}")
            if mode == FULL and ended.code == 2 and "cannot be written" not in ended.said:
                wrong.append("no message")
            if mode == KILL and ended.code not in (-9, 0):
                wrong.append(f"exit {ended.code}")
            if mode == KILL and not has_finished(trial, new):
                wrong += run_again(bench, case, trial)
            result.wrong += [f"{name} {called} {at}: {one}" for one in wrong]
            if wrong:
                result.wrong.append("    " + ended.said.strip()[-300:])
    if os.getuid() == 0:
        result.points["read-only"] = 1
        fresh(start, trial)
        for path in (trial, *trial.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
            path.chmod(0o755 if path.is_dir() else 0o644)
        ended = bench.run(case.words, trial, foreign=True)
        wrong = [] if digests(trial) == old else ["files changed"]
        if ended.code not in (0, 2) or "Traceback" in ended.said:
            wrong.append(f"exit {ended.code}")
        result.wrong += [f"{name} read-only: {one}\n{ended.said[-300:]}" for one in wrong]
    return result


def has_finished(folder: Path, new: dict[str, str]) -> bool:
    """Whether a command that was killed had written everything: it may refuse to do it again."""
    wanted = {name: digest for name, digest in new.items() if not name.startswith("cache/")}
    return wanted.items() <= digests(folder).items()


def require_success(ended: Ended) -> None:
    """Stop if a command fails although nothing was in its way."""
    if ended.code:
        raise SystemExit(f"without a fault it ends with {ended.code}: {ended.said}")


def run_again(bench: Bench, case: Case, trial: Path) -> list[str]:
    """Run a command again after a kill; what is wrong then."""
    words = case.words
    if case.again and (trial / "run/settings.json").exists():
        words = case.again
    ended = bench.run(words, trial)
    wrong = [] if ended.code == 0 else [f"again: exit {ended.code}: {ended.said[-300:]}"]
    left = [name for name in digests(trial) if is_temporary(Path(name)) and "cache/" not in name]
    return wrong + [f"again: {name} was left" for name in left]


def fresh(start: Path, trial: Path) -> None:
    """A copy of a folder in place of the last one."""
    shutil.rmtree(trial, ignore_errors=True)
    shutil.copytree(start, trial)


def main() -> int:
    """Walk through the cases; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="all by default")
    parser.add_argument("--every", type=int, default=1, help="only each n-th point")
    parser.add_argument("--work", type=Path, help="folder to work in, on any disk")
    options = parser.parse_args()
    if LIBRARY not in os.environ:
        return start_again()
    work = Path(tempfile.mkdtemp(prefix="faults-", dir=options.work))
    work.chmod(0o755)
    try:
        names = options.case or list(CASES)
        networks = any(CASES[name].modules != PLAIN for name in names)
        bench, wrong, total = Bench(work, networks=networks), [], 0
        for name in names:
            result = walk(bench, name, CASES[name], options.every)
            total += sum(result.points.values())
            told = ", ".join(f"{count} {called}" for called, count in result.points.items())
            print(f"{name}: {told}; {len(result.wrong)} wrong", flush=True)
            wrong += result.wrong
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("\n".join([*wrong, f"{total} points, {len(wrong)} lines of what is wrong"]))
    return 1 if wrong else 0


def start_again() -> int:
    """Run this script with the calls of the system replaced."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "faults.so"
        command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        Path(folder).chmod(0o755)
        more = {LIBRARY: str(library), "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *sys.argv], env=os.environ | more).returncode


if __name__ == "__main__":
    sys.exit(main())
