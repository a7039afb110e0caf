"""What SAM ViT-B costs on this machine's processor: seconds and memory of caching a frame and of a training step.

    python benchmarks/fullsize.py [--sizes 1024 512 256] [--frames 4] [--steps 1] [--height 720 --width 1280] [--ratios]

Trains `gavs` of studies/paper.yaml (adapters from block 9, loss at the frames' own size) on noise with untrained
weights, whose speed is that of trained ones, with the activations before block 9 given, as the cache gives them. Each
size has a process of its own, so that its peak memory (all of it: Python, packages, weights) is its own. One thread;
seconds are processor time, the least of `--steps` after one that warms up. Columns:
- cache: seconds and peak memory of encoding one frame up to block 9, which is done once;
- step: seconds of a step of `--frames` frames (forward, loss, backward, optimiser), and of its parts;
- whole: how many times as long the step would take if it also encoded its frames.

--ratios prints instead how many times faster than the released code's are, in turns within one process: the encoder
(a frame from pixels to output, ours against the package's), and the cached step (against a step that runs the package's
encoder from the pixels on, with the same adapters, decoder and loss; two frames, which take it 12 GB).
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

from soundprompt import models, params
from soundprompt.features.frames import Batch
from soundprompt.foundation import sam as sam_models
from soundprompt.provenance import Stopwatch
from soundprompt.training import schedule
from soundprompt.training.loop import Trainer

LIMIT = 8000  # MB that a step of four frames at 1024 pixels may take
clock = time.process_time


def main() -> None:
    """Prints the table; with --job, does one measurement and prints it as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", type=int, nargs="+", default=[1024, 512, 256])
    options.add_argument("--frames", type=int, default=4)
    options.add_argument("--steps", type=int, default=1)
    options.add_argument("--height", type=int, default=720)
    options.add_argument("--width", type=int, default=1280)
    options.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    options.add_argument("--ratios", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.ratios:
        report_ratios(chosen)
        return
    if chosen.job:
        print(json.dumps(JOBS[chosen.job](chosen)))
        return
    report(chosen, {size: {job: in_own_process(job, size) for job in JOBS} for size in chosen.sizes})


def in_own_process(job: str, size: int) -> dict[str, float]:
    """Runs this script again for one measurement at one size."""
    command = [sys.executable, __file__, *sys.argv[1:], "--job", job, "--sizes", str(size)]
    print(f"measuring: {job} at {size} pixels", file=sys.stderr, flush=True)
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# ------------------------------------------------------------------------------ measured
@torch.no_grad()
def measure_cache(chosen: argparse.Namespace) -> dict[str, float]:
    """Encoding one frame up to block 9."""
    sam = random_sam(chosen.sizes[0])
    pixels = torch.randn(1, 3, sam.image_size, sam.image_size)
    start = clock()
    sam.prefix(pixels, [tuned_from()])
    return {"seconds": clock() - start, "peak_mib": Stopwatch().read()["peak_mib"]}


def measure_step(chosen: argparse.Namespace) -> dict[str, float]:
    """A training step from the cache."""
    sam = random_sam(chosen.sizes[0])
    trainer = make_trainer(sam, paper_model(), "cpu")
    batch = make_batch(sam, chosen.frames, (chosen.height, chosen.width))
    before = Stopwatch().read()["peak_mib"]
    rows = [timed_step(trainer, batch, step) for step in range(1, chosen.steps + 2)]
    best = min(rows[1:], key=lambda row: sum(row.values()))
    return best | {"peak_mib": Stopwatch().read()["peak_mib"], "before_mib": before}


def timed_step(trainer: Trainer, batch: Batch, step: int) -> dict[str, float]:
    """Seconds of the parts of one step: the same calls as `Trainer.advance`."""
    start = clock()
    loss = trainer.loss(batch)["loss"]
    between = clock()
    trainer.update(step, loss)
    return {"forward": between - start, "backward": clock() - between}


JOBS = {"cache": measure_cache, "step": measure_step}


# -------------------------------------------------------------------- against the released code
class ReleasedTail(nn.Module):
    """The package's image encoder from the pixels on, with a tail's adapters behind its MLPs, as the released code."""

    def __init__(self, sam: sam_models.FrozenSam, tail: nn.Module):
        super().__init__()
        self.encoder = copy.deepcopy(sam.sam.image_encoder)
        for index, adapted in tail.blocks.items():
            block = self.encoder.blocks[int(index)]
            block.norm1, block.norm2 = adapted.norm1, adapted.norm2
            block.mlp.register_forward_hook(lambda _, given, m, adapter=adapted.adapter: m + adapter(m))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder(pixels).permute(0, 2, 3, 1)


def report_ratios(chosen: argparse.Namespace) -> None:
    """Both ratios of each size."""
    for size in chosen.sizes:
        for label, ways in (("encoder", encoder_ways(size)), ("cached step", step_ways(size, chosen))):
            ours, released = in_turns(ways, chosen.steps)
            seconds = f"{ours:.2f} s, released code {released:.2f} s"
            print(f"{size}: {label} {seconds}: {released / ours:.2f} times as fast", flush=True)


def in_turns(ways: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Least processor seconds of each."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            start = clock()
            way()
            best[number] = min(best[number], clock() - start)
    return best


def encoder_ways(size: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A frame through our encoder, and through the package's."""
    sam = random_sam(size)
    pixels = torch.randn(1, 3, size, size)
    return lambda: sam.prefix(pixels, [None]), torch.no_grad()(lambda: sam.sam.image_encoder(pixels))


def step_ways(size: int, chosen: argparse.Namespace) -> tuple[Callable[[], object], Callable[[], object]]:
    """A training step from the cache, and one of the released kind."""
    sam = random_sam(size)
    ours, released = (make_trainer(sam, paper_model(), "cpu") for _ in range(2))
    released.model.encoder = ReleasedTail(sam, released.model.encoder)
    batch = make_batch(sam, 2, (chosen.height, chosen.width))
    pixels = replace(batch, visual=torch.randn(2, 3, size, size))
    return lambda: timed_step(ours, batch, 1), lambda: timed_step(released, pixels, 1)


# --------------------------------------------------------------------------------- made up
def paper_model() -> params.Model:
    """gavs of the paper's study."""
    root = Path(__file__).parents[1]
    return params.load(root / "studies" / "paper.yaml", root / "params.yaml").models["gavs"]


def tuned_from() -> int:
    """The block whose input the cache holds."""
    return paper_model().visual.tune_from


def random_sam(image_size: int) -> sam_models.FrozenSam:
    """ViT-B with random weights."""
    torch.manual_seed(0)
    return sam_models.FrozenSam(sam_models.build("vit_b", image_size), "vit_b", "random")


def make_trainer(sam: sam_models.FrozenSam, model: params.Model, device: str) -> Trainer:
    """A trainer without data: batches are handed to its `loss` and `update`."""
    plan = schedule.plan(model.schedule.model_copy(update={"epochs": None, "warmup": 0}), 1, False)
    built = models.build(model, sam, 0).to(device)
    return Trainer(built, model, plan, sam, sampler=None, train=None, validation={}, device=device)


def make_batch(sam: sam_models.FrozenSam, frames: int, size: tuple[int, int]) -> Batch:
    """Noise in place of cached features; masks of a quarter of each frame; two videos, so that triplets exist."""
    stream = torch.Generator().manual_seed(0)
    valid = sam.valid_cells([size] * frames)
    target_valid = valid.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
    mask = torch.zeros(size, dtype=torch.bool)
    mask[: size[0] // 2, : size[1] // 2] = True
    names = [f"video{i % 2}" for i in range(frames)]
    return Batch(
        visual=torch.randn(frames, sam.grid, sam.grid, sam.dim, generator=stream),
        audio=torch.randn(frames, 128, generator=stream).relu(),
        valid=valid,
        sizes=[size] * frames,
        masks=[mask] * frames,
        targets=torch.zeros(frames, 1, sam.cells, sam.cells),
        target_valid=target_valid,
        clips=names,
        videos=names,
        classes=names,
    )


def report(chosen: argparse.Namespace, found: dict[int, dict[str, dict[str, float]]]) -> None:
    """The table."""
    print(
        f"ViT-B, gavs, adapters from block {tuned_from()}, {chosen.frames} frames of {chosen.width} x {chosen.height}"
    )
    print(
        f"\n{'pixels':>6}{'tokens':>8} |{'cache, s':>10}{'MiB':>7} |{'step, s':>9}{'forward':>9}{'backward':>9}", end=""
    )
    print(f"{'MiB':>7}{'of first':>10}{'whole':>7}")
    first = None
    for size, rows in found.items():
        cache, step = rows["cache"], rows["step"]
        seconds = step["forward"] + step["backward"]
        first = first or seconds
        whole = (seconds + chosen.frames * cache["seconds"]) / seconds
        print(f"{size:6}{(size // 16) ** 2:8} |{cache['seconds']:10.2f}{cache['peak_mib']:7.0f} |", end="")
        print(f"{seconds:9.2f}{step['forward']:9.2f}{step['backward']:9.2f}{step['peak_mib']:7.0f}", end="")
        print(f"{seconds / first:10.3f}{whole:7.2f}")
        if size == 1024:
            verdict = "under" if step["peak_mib"] * 2**20 < LIMIT * 1e6 else "NOT under"
            print(f"{'':16}the step at 1024 pixels stays {verdict} {LIMIT} MB; {step['before_mib']:.0f} MiB before it")


if __name__ == "__main__":
    main()
