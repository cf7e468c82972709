"""The script that gives damaged files to the readers: it counts, and keeps what breaks one."""

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"
BROKEN = """
import sys, time
sys.path.insert(0, {tools!r})
import fuzz
from fuzz_readers import Reader

def read(path):
    data = path.read_bytes()
    if len(data) > 100:
        return [0] * (1 << 40)
    if data[0] != 97:
        time.sleep(60)
    raise KeyError(data)

fuzz.READERS["broken"] = Reader(".txt", lambda folder: [b"a" * 50], read)
sys.exit(fuzz.main(sys.argv[1:]))
"""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)


def test_damaged_files_are_given_to_a_reader_and_counted(tmp_path: Path):
    done = run(str(TOOLS / "fuzz.py"), "--reader", "tensorrt", "--inputs", "40", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 0, ")
    name, tried, read, refused, broken, *_ = done.stdout.splitlines()[-1].split()
    assert (name, tried, broken) == ("tensorrt", "40", "0")
    assert int(read) + int(refused) == 40
    assert not (tmp_path / "fuzz-found").exists()


def test_what_breaks_a_reader_is_kept_and_can_be_made_again(tmp_path: Path):
    script = tmp_path / "broken.py"
    script.write_text(BROKEN.format(tools=str(TOOLS)))
    words = [str(script), "--reader", "broken", "--inputs", "12", "--seconds", "0.2"]
    done = run(*words, "--keep", "a", cwd=tmp_path)
    assert done.returncode == 1
    told = [path.read_text() for path in sorted((tmp_path / "a").glob("*.told"))]
    assert len(told) == 12
    for ending in ("KeyError", "MemoryError", "no end after 0.2 s"):
        assert any(ending in one for one in told), ending
    assert run(*words, "--keep", "b", cwd=tmp_path).returncode == 1
    for path in (tmp_path / "a").iterdir():
        if path.suffix == ".txt":
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
