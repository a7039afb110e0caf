"""Whether a GPU computes what the processor does, and what a training step of ViT-B costs on it.

    python benchmarks/gpu_check.py [--size 1024] [--frames 10] [--steps 10]

With a GPU:
1. encodes one frame and takes one training step of `gavs` of studies/paper.yaml (at 256 pixels, from the same weights)
   on the CPU and on the GPU, in float32 without TF32, and compares features, loss, gradients and updated weights;
   in bfloat16 the loss only, to the precision that it has. Exit status 1 when they differ by more than stated;
2. times steps of `--frames` cached frames (a clip of the paper's study has ten) at `--size` pixels in float32 and in
   bfloat16, and encoding up to the split block, with peak GPU memory; medians, the first steps not counted.
Without a GPU it says so, does neither, and exits with status 0.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from fullsize import make_batch, make_trainer, paper_model, random_sam
from soundprompt import devices, params
from soundprompt.foundation.sam import FrozenSam

FRAME = (720, 1280)  # height and width of a frame, pixels
# Largest difference of GPU and CPU as a share of the CPU's largest value. Sums run in another order, and attention
# in another kernel; AdamW's first step is the sign of a gradient, so that weights whose gradient is noise may differ.
ALLOWED = {"features": 1e-4, "loss": 1e-5, "gradients": 1e-3, "weights": 1e-2, "loss in bfloat16": 2e-2}


def main() -> int:
    """Prints both parts; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, default=1024)
    options.add_argument("--frames", type=int, default=10)
    options.add_argument("--steps", type=int, default=10)
    chosen = options.parse_args()
    if not torch.cuda.is_available():
        print(f"no GPU: torch {torch.__version__} finds none on this machine; nothing was checked")
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    failed = compare()
    measure(chosen)
    return int(failed)


# ------------------------------------------------------------------------------ agreement
def compare() -> bool:
    """Prints the largest differences; returns whether one is too large."""
    devices.keep_float32()
    on_cpu, on_gpu = one_step("cpu", "float32"), one_step("cuda", "float32")
    found = {name: difference(on_gpu[name], on_cpu[name]) for name in on_cpu}
    found["loss in bfloat16"] = difference(one_step("cuda", "bfloat16")["loss"], on_cpu["loss"])
    print("\nGPU against CPU, largest difference as a share of the largest value")
    for name, off in found.items():
        print(f"  {name:18}{off:10.2e}   allowed {ALLOWED[name]:.0e}{'' if off <= ALLOWED[name] else '   TOO LARGE'}")
    return any(not off <= ALLOWED[name] for name, off in found.items())


def one_step(device: str, precision: str) -> dict[str, list[Tensor]]:
    """Encodes a frame and takes a training step at 256 pixels; what came out, on the CPU."""
    sam = random_sam(256)
    trainer = make_trainer(sam, with_precision(paper_model(), precision), device)
    batch = make_batch(sam, 2, FRAME).to(device)  # each frame is the other's only negative: nothing is left to chance
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)).to(device)
    features = copy.deepcopy(sam).to(device).prefix(pixels, [9, None])
    loss = trainer.loss(batch)["loss"]
    trainer.update(1, loss)
    weights = list(trainer.parameters.values())
    found = {
        "features": list(features.values()),
        "loss": [loss],
        "gradients": [weight.grad for weight in weights],
        "weights": weights,
    }
    return {name: [value.detach().float().cpu() for value in values] for name, values in found.items()}


def difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Largest difference over all tensors, as a share of the largest value in them."""
    off = max((one - other).abs().max().item() for one, other in zip(ours, theirs, strict=True))
    return off / max(other.abs().max().item() for other in theirs)


def with_precision(model: params.Model, precision: str) -> params.Model:
    """The model with another schedule.precision."""
    return model.model_copy(update={"schedule": model.schedule.model_copy(update={"precision": precision})})


# ----------------------------------------------------------------------------------- cost
def measure(chosen: argparse.Namespace) -> None:
    """Prints time and peak GPU memory of steps and of filling the cache."""
    sam = random_sam(chosen.size)
    rows = {}
    for precision in ("float32", "bfloat16"):
        rows[f"step, {precision}"] = measure_steps(sam, precision, chosen)
    rows["cache, float32"] = measure_prefix(sam, chosen)
    print(f"\nViT-B at {chosen.size} pixels, {chosen.frames} frames a step; cache: one frame at a time")
    print(f"{'':20}{'ms':>10}{'ratio':>8}{'GPU MiB':>10}")
    first = next(iter(rows.values()))[0]
    for name, (seconds, peak) in rows.items():
        print(f"{name:20}{1000 * seconds:10.1f}{seconds / first:8.2f}{peak:10.0f}")


def measure_steps(sam: FrozenSam, precision: str, chosen: argparse.Namespace) -> tuple[float, float]:
    """(seconds, peak MiB) of a training step from the cache."""
    trainer = make_trainer(sam, with_precision(paper_model(), precision), "cuda")
    batch = make_batch(sam, chosen.frames, FRAME).to("cuda")
    return measured(lambda: trainer.update(1, trainer.loss(batch)["loss"]), chosen.steps)


def measure_prefix(sam: FrozenSam, chosen: argparse.Namespace) -> tuple[float, float]:
    """(seconds, peak MiB) of encoding one frame up to the split block."""
    on_gpu, pixels = copy.deepcopy(sam).to("cuda"), torch.randn(1, 3, sam.image_size, sam.image_size, device="cuda")
    return measured(lambda: on_gpu.prefix(pixels, [paper_model().visual.tune_from]), chosen.steps)


def measured(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median seconds and peak memory of the GPU in MiB; three runs first that do not count."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    took = []
    for _ in range(3 + times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return statistics.median(took[3:]), torch.cuda.max_memory_allocated() / 2**20


if __name__ == "__main__":
    sys.exit(main())
