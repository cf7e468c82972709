"""Ask OpenCV 4 what it makes of darknet files: OpenCV 5 reads none, and tests compare with it.

    python tools/make_opencv_references.py            # tests/opencv_references.npz, anew
    python tools/make_opencv_references.py --check    # the tests with OpenCV 4 itself

OpenCV 4 is installed into a folder of its own, and found before the one of this environment, which
needs the packages of `.[test]`, and the real weights and images.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "opencv_references.npz"
# Whatever asks `opencv_oracle`.
TESTS = (
    *("darknet/test_agreement.py", "darknet/test_network.py", "darknet/test_layers_opencv.py"),
    *("darknet/test_sizes.py", "test_agreement_ap.py"),
)
OPENCV = "opencv-python-headless>=4.12,<5"


def main() -> int:
    """Run the tests that ask OpenCV, with OpenCV 4."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        subprocess.run([*pip, OPENCV], check=True)
        draft = Path(folder) / FILE.name
        paths = [folder, str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CI": "true"}
        words = ["-q"]
        if not check:  # by one process, which writes what it was told
            environment["SCANTLING_OPENCV_REFERENCES"] = str(draft)
            words += ["-n0", "-m", "slow or not slow"]
        tests = [str(ROOT / "tests" / name) for name in TESTS]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, *tests], env=environment, cwd=ROOT
        )
        if done.returncode == 0 and not check:
            FILE.write_bytes(draft.read_bytes())
            print(f"{FILE}: {FILE.stat().st_size:,} bytes")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
