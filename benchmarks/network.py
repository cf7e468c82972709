"""The network alone, one image: this package's engines against what others run it with.

    python benchmarks/network.py --cfg yolov4-tiny.cfg --weights yolov4-tiny.weights --size 416
    python benchmarks/network.py --cfg yolov4-csp.cfg --size 512 --file csp-int8.xml
    python benchmarks/network.py --effdet tf_efficientdet_d0 --size 512

All run in one process by turns, on the same number of threads; × is the median of the ratios of the
turns to the first row, with its quartiles: above 1 is faster. Without --weights they are random,
which changes no time. One below 100 ms runs once more before it is timed, after a pause in which
the threads of the one before stop spinning. Samples during which a thread had to wait for a
processor are left out where enough others are left, and counted.
What a peer is given is the network alone; ours also scale the uint8 image and decode the boxes.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import sleep

import cv2
import numpy as np
import torch

import scantling
from scantling.benchmarking.timings import Timing, ratio_of, spread_of, timed
from scantling.checkpoints import Model
from scantling.darknet import (
    WeightsHeader,
    build_cfg_network,
    read_cfg,
    stored_tensors,
    write_weights,
)
from scantling.engines import EngineSettings, open_engine
from scantling.engines.hardware import describe_machine

Run = Callable[[], object]
SHORT = 0.1  # seconds
PAUSE = 0.05  # seconds, in which the threads of the one before stop spinning
WARM_UP = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        makers = find_contenders(options, Path(folder))
        contenders: dict[str, Run] = {}
        for name, make in makers.items():
            if options.only and not any(word in name for word in options.only):
                continue
            try:
                contenders[name] = make()
                contenders[name]()
            except Exception as error:  # a peer that is not there must not lose the others
                contenders.pop(name, None)
                print(f"left out: {name}: {type(error).__name__}: {str(error)[:300]}")
        if contenders:
            report(take_turns(contenders, options.rounds), options)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cfg", type=Path, help="darknet's .cfg, for OpenCV and for us")
    what.add_argument("--effdet", help="effdet's name, such as tf_efficientdet_d0")
    parser.add_argument("--weights", type=Path, help="of the .cfg; random if left out")
    parser.add_argument("--size", type=int, help="side of the input")
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        help="an exported file that takes part, such as INT8; may be repeated",
    )
    parser.add_argument("--data", help="quantise to INT8 on these images, and let it take part")
    parser.add_argument("--rounds", type=int, default=25, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too; builds long")
    parser.add_argument("--only", nargs="*", help="contenders whose names hold one of these words")
    options = parser.parse_args(argv)
    for path in (options.cfg, options.weights, *options.file):
        if path is not None and not path.is_file():
            parser.error(f"no file {path}")
    return options


def find_contenders(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Run]]:
    """What can be measured, by name; each is built when it is its turn."""
    if options.cfg is not None:
        spec = read_cfg(options.cfg)
        size = options.size or spec.image_size[0]
        weights = options.weights or random_weights(options.cfg, folder / "random.weights")
        model = scantling_model(options.cfg, weights)
        peers = darknet_peers(options.cfg, weights, model, size, options)
    else:
        name = options.effdet.removeprefix("tf_").replace("_", "-")
        model = scantling.create_model(name)
        model.network.eval()
        size = options.size or model.spec.image_size[0]
        peers = effdet_peers(options.effdet, size, folder, options)
    return peers | our_engines(model, size, folder, options)


def random_weights(cfg: Path, path: Path) -> Path:
    """A `.weights` file for a `.cfg`, with what a fresh network has."""
    torch.manual_seed(0)
    network = build_cfg_network(read_cfg(cfg))
    write_weights(path, stored_tensors(network), WeightsHeader())
    return path


def scantling_model(cfg: Path, weights: Path) -> Model:
    """The model that the files describe."""
    from scantling.checkpoints import load_model

    model = load_model(cfg, weights=weights)
    model.network.eval()
    return model


def darknet_peers(
    cfg: Path, weights: Path, model: Model, size: int, options: argparse.Namespace
) -> dict[str, Callable[[], Run]]:
    """OpenCV's dnn, and eager torch."""

    def opencv() -> Run:
        network = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
        network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        names = network.getUnconnectedOutLayersNames()
        blob = np.random.default_rng(0).random((1, 3, size, size), np.float32)

        def run() -> object:
            network.setInput(blob)
            return network.forward(names)

        return run

    return {"OpenCV dnn": opencv, "torch eager": lambda: eager(model.network, size)} | (
        {"torch.compile": lambda: compiled(model.network, size)} if options.compile else {}
    )


def effdet_peers(
    name: str, size: int, folder: Path, options: argparse.Namespace
) -> dict[str, Callable[[], Run]]:
    """effdet as its users run it, and its own export in two runtimes."""
    import effdet

    config = effdet.get_efficientdet_config(name)
    config.image_size = (size, size)
    network = effdet.EfficientDet(config, pretrained_backbone=False).eval().requires_grad_(False)
    file = folder / "effdet.onnx"

    def exported() -> Path:
        if not file.exists():
            network.train(False)
            sample = torch.zeros(1, 3, size, size)
            torch.onnx.export(network, (sample,), str(file), dynamo=False, opset_version=17)
        return file

    return {
        "effdet eager": lambda: eager(network, size),
        "effdet's export, onnxruntime": lambda: onnxruntime_run(exported(), size, options.threads),
        "effdet's export, openvino f32": lambda: openvino_run(
            exported(), size, options.threads, "f32"
        ),
        "effdet's export, openvino bf16": lambda: openvino_run(
            exported(), size, options.threads, "bf16"
        ),
    }


def eager(network: torch.nn.Module, size: int) -> Run:
    """A network as it is: fp32, NCHW, norms of their own."""
    images = torch.rand(1, 3, size, size)

    def run() -> object:
        with torch.inference_mode():
            return network(images)

    return run


def compiled(network: torch.nn.Module, size: int) -> Run:
    """The same through Inductor, weights frozen, channels last."""
    from copy import deepcopy

    own = deepcopy(network).to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, size, size).to(memory_format=torch.channels_last)
    faster = torch.compile(own, options={"freezing": True})

    def run() -> object:
        with torch.no_grad():
            return faster(images)

    return run


def onnxruntime_run(path: Path, size: int, threads: int) -> Run:
    """An ONNX file in ONNX Runtime, fp32."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    feed = {
        session.get_inputs()[0].name: np.random.default_rng(0).random(
            (1, 3, size, size), np.float32
        )
    }
    return lambda: session.run(None, feed)


def openvino_run(path: Path, size: int, threads: int, precision: str) -> Run:
    """An ONNX file in OpenVINO."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    images = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    return lambda: request.infer([images], share_inputs=True, share_outputs=True)


def our_engines(
    model: Model, size: int, folder: Path, options: argparse.Namespace
) -> dict[str, Callable[[], Run]]:
    """Every engine and precision of ours."""
    ways: list[tuple[str, str, bool]] = [
        ("torch", "fp32", False),
        ("torch", "bf16", False),
        *([("torch", "fp32", True), ("torch", "bf16", True)] if options.compile else []),
        ("onnxruntime", "fp32", False),
        ("openvino", "fp32", False),
        ("openvino", "bf16", False),
    ]

    def of_model(engine: str, precision: str, compile_it: bool) -> Run:
        return run_of(
            open_engine(
                model,
                EngineSettings(
                    engine=engine,
                    precision=precision,
                    image_size=(size, size),
                    threads=options.threads,
                    compile=compile_it,
                    device="cpu",
                ),
            )
        )

    def of_file(path: Path) -> Run:
        return run_of(open_engine(path, EngineSettings(threads=options.threads, device="cpu")))

    found: dict[str, Callable[[], Run]] = {}
    for engine, precision, compile_it in ways:
        label = f"scantling {engine} {precision}{' compiled' if compile_it else ''}"
        found[label] = lambda way=(engine, precision, compile_it): of_model(*way)
    for path in options.file:
        found[f"scantling {path.name}"] = lambda path=path: of_file(path)
    if options.data:
        found["scantling openvino int8"] = lambda: of_file(
            quantised(model, size, folder, options.data)
        )
    return found


def run_of(engine: object) -> Run:
    """The engine on a batch of one image that lies in its own memory."""
    batch = engine.new_batch(1)
    batch[:] = np.random.default_rng(0).integers(0, 256, batch.shape, np.uint8)
    return lambda: engine(batch)


def quantised(model: Model, size: int, folder: Path, data: str) -> Path:
    """The model in INT8, calibrated on labelled images."""
    from scantling.exporting import export

    done = export(
        model,
        "openvino",
        out=folder / "int8.xml",
        precision="int8",
        image_size=(size, size),
        data=data,
    )
    return Path(done.path)


def take_turns(contenders: dict[str, Run], rounds: int) -> dict[str, list[Timing]]:
    """A sample of each in every round; the first rounds do not count."""
    samples: dict[str, list[Timing]] = {name: [] for name in contenders}
    short: set[str] = set()
    for number in range(WARM_UP + rounds):
        for name, run in contenders.items():
            sleep(PAUSE)
            if name in short:
                run()
            _, sample = timed(run)
            if number >= WARM_UP:
                samples[name].append(sample)
            elif sample.value < SHORT:
                short.add(name)
    return samples


def report(samples: dict[str, list[Timing]], options: argparse.Namespace) -> None:
    """Print a row per contender."""
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    print(f"{machine['processor']}, {', '.join(machine['instructions'])}; {versions}")
    print(f"{options.cfg or options.effdet} {options.size or ''}, {options.threads} threads")
    print(f"{'':<36}{'median ms (min–max)':>28}{'×':>8}{'quartiles':>16}{'disturbed':>18}")
    base = next(iter(samples.values()))
    for name, own in samples.items():
        spread, ratio = spread_of(own), ratio_of(base, own)
        if spread is None or ratio is None:
            continue
        times = f"{spread.median * 1e3:.1f} ({spread.low * 1e3:.1f}–{spread.high * 1e3:.1f})"
        quartiles = f"{ratio.lower:.2f}–{ratio.upper:.2f}"
        kept = f"{spread.disturbed} of {len(own)}{'' if spread.cleaned else ' kept'}"
        print(f"{name:<36}{times:>28}{ratio.median:>8.2f}{quartiles:>16}{kept:>18}")


if __name__ == "__main__":
    sys.exit(main())
