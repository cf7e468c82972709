"""Ask OpenCV 4 what it makes of darknet files: OpenCV 5 reads none, and tests compare with it.

    python tools/make_opencv_references.py            # tests/opencv_references.npz, anew
    python tools/make_opencv_references.py --check    # all of these tests, with OpenCV 4 itself
    python tools/make_opencv_references.py --sample   # those of small networks, in about a minute

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
    "darknet/test_sizes.py",
    "test_agreement_ap.py::test_ap_down_to_the_lowest_scores_is_that_of_opencv",
)
# Of each kind of layer, and of networks from cfg to boxes; not of the published ones, which are
# large, but for these.
SMALL = ("yolov2-tiny", "yolov3-tiny", "yolov3-tiny-prn", "yolov4-tiny", "yolov4-tiny-3l")
PUBLISHED = "darknet/test_agreement.py::test_every_published_cfg_gives_the_output_of_opencv"
SAMPLE = (
    *("darknet/test_network.py", "darknet/test_layers_opencv.py", "darknet/test_sizes.py"),
    "darknet/test_agreement.py::test_trained_weights_of_ours_give_the_output_of_opencv",
    *(f"{PUBLISHED}[{name}]" for name in SMALL),
)
OPENCV = "opencv-python-headless>=4.12,<5"


def main() -> int:
    """Run the tests that ask OpenCV, with OpenCV 4."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--sample", action="store_true", help="compare small networks alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        subprocess.run([*pip, OPENCV], check=True)
        draft = Path(folder) / FILE.name
        paths = [folder, str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CI": "true"}
        words = ["-q", "-m", "not slow" if given.sample else "slow or not slow"]
        if not given.check and not given.sample:  # by one process, which writes what it was told
            environment["SCANTLING_OPENCV_REFERENCES"] = str(draft)
            words.append("-n0")
        tests = [str(ROOT / "tests" / name) for name in (SAMPLE if given.sample else TESTS)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, *tests], env=environment, cwd=ROOT
        )
        if done.returncode == 0 and draft.exists():
            FILE.write_bytes(draft.read_bytes())
            print(f"{FILE}: {FILE.stat().st_size:,} bytes")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
