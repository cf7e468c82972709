"""One of several processes that train together; started by the tests, never collected."""

import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from small_networks import SIZE, joint_batches, make_run, settle, small_model
from torch import nn

from scantling.blocks import SyncNorm
from scantling.engines import EngineSettings
from scantling.engines.torch_engine import TorchEngine
from scantling.inference import Prediction
from scantling.io import write_file
from scantling.postprocess import Selection
from scantling.reports.drawing import encode_image
from scantling.training.accelerator import SharedPredictor

# (variant, recipe, changes): every loss, accumulation, and images changed against the network
CASES = {
    "darknet": ("yolov4-tiny", "darknet-tiny", {"nominal_batch": 8}),
    "scaled-yolov4": ("yolov4-tiny", "scaled-yolov4", {"self_adversarial": {"probability": 1.0}}),
    "efficientdet": ("efficientdet-d0", "efficientdet", {}),
}


def train_case(case: str, *, rank: int, processes: int) -> dict[str, torch.Tensor]:
    """Weights and losses after two updates with normalisation over all processes."""
    name, recipe_name, changes = CASES[case]
    given = {"regularization": {"norm": "sync"}, "optimizer": {"learning_rate": 0.001}, **changes}
    recipe = settle(recipe_name, **given)
    state, trainer = make_run(small_model(name), recipe, images=16)
    batches = joint_batches(trainer.plan, rank=rank, processes=processes)
    found = {}
    for report in trainer.steps(state, batches):
        found[f"loss.{report.step.index}"] = report.terms.total
        if state.done == 2:
            break
    return found | dict(state.network.state_dict())


def normalise_case(norm: nn.Module, *, rank: int, processes: int) -> dict[str, torch.Tensor]:
    """Output, gradients and statistics of a normalisation alone."""
    noise = torch.Generator().manual_seed(3)
    joint = torch.randn(8, 5, 6, 7, generator=noise) * 3 + 2
    weights = torch.randn(8, 5, 6, 7, generator=noise)
    share = 8 // processes
    mine = slice(rank * share, (rank + 1) * share)
    x = joint[mine].clone().requires_grad_()
    y = norm(x)
    (y * weights[mine]).sum().backward()
    return {"output": y.detach(), "gradient": x.grad, **norm.state_dict()}


def share_case(accelerator: Accelerator, folder: Path) -> dict[str, torch.Tensor]:
    """What the processes find in a few images together, and how many of them this one saw."""
    model, seen = small_model(), []
    engine = TorchEngine(model, EngineSettings(device="cpu", image_size=SIZE, threads=1))
    engine._network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    predictor = SharedPredictor(
        accelerator, engine, model.names, input_spec=model.spec.input,
        selection=Selection(min_score=0.0, max_detections=20),
    )  # fmt: skip
    found = sorted(predictor.stream_files(write_images(folder), batch_size=2), key=place_of)
    return {
        "seen": torch.tensor(sum(seen)),
        "places": torch.tensor([place_of(one) for one in found]),
        "scores": torch.tensor(np.array([one.detections.scores for one in found])),
    }


def place_of(prediction: Prediction) -> int:
    return prediction.frame.index


def write_images(folder: Path) -> list[Path]:
    """Five images of noise, the same for every process."""
    folder.mkdir(exist_ok=True)
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        write_file(folder / f"{number}.png", encode_image(noise, ".png"))
    return [folder / f"{number}.png" for number in range(5)]


def main(out: Path) -> None:
    accelerator = Accelerator(cpu=True)
    place = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    found = {case: train_case(case, **place) for case in CASES}
    found["share"] = share_case(accelerator, out / str(place["rank"]))
    found["norm"] = normalise_case(SyncNorm(5, momentum=0.3), **place)
    torch.save(found, out / f"{place['rank']}-of-{place['processes']}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
