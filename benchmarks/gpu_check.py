"""What a GPU does here: whether it computes what the processor does, and how fast; at most 8 minutes, without any data.

    python benchmarks/gpu_check.py [--device cuda] [--size full] [--out FILE]       (make bench-gpu)

1. Agreement: encodes one frame and takes one training step of `gavs` of studies/paper.yaml (at 256 pixels, from the
   same weights) on the CPU and on the GPU, in float32 without TF32, and compares features, loss, gradients and updated
   weights; in bfloat16 the loss only, to the precision that it has.
2. Ceilings of this card: matrix products, and copies to it.
3. The paper's study on a project of noise in full size (`soundprompt.planning`): frame tables, features, steps,
   validation and scoring of its five models, with the share in which they wait for data.
4. A run that is stopped and goes on, against one that is not.
What was found is printed, and written to benchmarks/results/<card>.csv, which `soundprompt cost --plan --gpu <card>`
reads. Exit status 1 when something differs by more than stated, 2 without a GPU.
`--device cpu --size tiny` tries the script: it takes the full study's small models, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from fullsize import make_batch, make_trainer, paper_model, random_sam
from soundprompt import devices, params
from soundprompt.foundation import sam as sam_models
from soundprompt.foundation.sam import FrozenSam
from soundprompt.planning import figures, measure
from soundprompt.planning.figures import Figure
from soundprompt.planning.measure import timed
from soundprompt.planning.noise import Noise
from soundprompt.training import loop, run

ROOT = Path(__file__).parents[1]
FRAME = (720, 1280)  # height and width of a frame, pixels
# Largest difference of GPU and CPU as a share of the CPU's largest value. Sums run in another order, and attention
# in another kernel; AdamW's first step is the sign of a gradient, so that weights whose gradient is noise may differ.
ALLOWED = {"features": 1e-4, "loss": 1e-5, "gradients": 1e-3, "weights": 1e-2, "loss in bfloat16": 2e-2}
RESUMED = 2e-2  # largest relative difference of a loss between a run that was stopped and one that was not
PRODUCTS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "TF32": torch.float32, "float32": torch.float32}
TFLOP = {"vit_b": 0.972, "vit_l": 2.986, "vit_h": 5.961}  # of a frame at 1024 pixels in SAM's encoder


def main() -> int:
    """Prints all parts; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--size", choices=("full", "tiny"), default="full")
    options.add_argument("--out", type=Path, help="csv to write; of full size else benchmarks/results/<card>.csv")
    chosen = options.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print(f"this benchmark needs a GPU: torch {torch.__version__} finds none on this machine; nothing was measured")
        return 2
    if chosen.device == "cpu":
        devices.best = lambda: "cpu"
    devices.keep_float32()
    began, tiny = time.perf_counter(), chosen.size == "tiny"
    print(f"{measure.card()}, torch {torch.__version__}")
    rows, failed = compare(chosen.device)
    rows += ceilings(chosen.device, 256 if tiny else 8192)
    study = params.load(ROOT / "studies" / f"{'full' if tiny else 'paper'}.yaml", ROOT / "params.yaml")
    out = chosen.out or (None if tiny else ROOT / "benchmarks" / "results" / f"{measure.card()}.csv")
    out = out and out.resolve()
    with measure.project_of(study) as project:
        rows += speeds(study, project)
        resumed, broken = stop_and_go_on(study, project)
    rows += resumed
    report(rows, study)
    print(f"\n{time.perf_counter() - began:.0f} s")
    if out:
        source = f"make bench-gpu, torch {torch.__version__}"
        figures.write(out, [replace(row, source=f"{row.source}; {source}") for row in rows])
        print(f"written: {out}")
    return int(failed or broken)


def row(kind: str, what: str, value: float, unit: str, source: str = "measured") -> Figure:
    """A figure that no plan reads."""
    return Figure(measure.card(), kind, what, 0, 1, value, unit, 0.0, source)


# ------------------------------------------------------------------------------ agreement
def compare(device: str) -> tuple[list[Figure], bool]:
    """The largest differences, and whether one is too large."""
    on_cpu, there = one_step("cpu", "float32"), one_step(device, "float32")
    found = {name: difference(there[name], on_cpu[name]) for name in on_cpu}
    found["loss in bfloat16"] = difference(one_step(device, "bfloat16")["loss"], on_cpu["loss"])
    print(f"\n{device} against cpu, largest difference as a share of the largest value")
    for name, off in found.items():
        print(f"  {name:18}{off:10.2e}   allowed {ALLOWED[name]:.0e}{'' if off <= ALLOWED[name] else '   TOO LARGE'}")
    rows = [row("agreement", name, off, "relative") for name, off in found.items()]
    return rows, any(not off <= ALLOWED[name] for name, off in found.items())


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


# -------------------------------------------------------------------------------- ceilings
def ceilings(device: str, side: int) -> list[Figure]:
    """Matrix products of side x side, and copies of 4 side^2 bytes from pageable and pinned memory."""
    rows = []
    for name, dtype in PRODUCTS.items():
        if name == "TF32" and device == "cpu":
            continue
        one = torch.randn(side, side, device=device).to(dtype)
        torch.backends.cuda.matmul.allow_tf32 = name == "TF32"
        rows.append(row("ceiling", f"{name} product", 2e-12 * side**3 / timed(lambda one=one: one @ one), "TFLOP/s"))
    devices.keep_float32()
    host, there = torch.randn(side, side), torch.empty(side, side, device=device)
    kinds = {"pageable": host} | ({"pinned": host.pin_memory()} if device == "cuda" else {})
    for name, memory in kinds.items():
        seconds = timed(lambda memory=memory: there.copy_(memory, non_blocking=True))
        rows.append(row("ceiling", f"copy from {name} memory", 1e-9 * host.nbytes / seconds, "GB/s"))
    return rows


# ------------------------------------------------------------------------ the paper's study
def speeds(study: params.Params, project: Noise) -> list[Figure]:
    """What planning reads of all five models, the encoder alone, and the memory of the largest."""
    rows = measure.of_project(study, project)
    rows.append(encoder_alone(study, project))
    for name, model in measure.families(study).items():
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        rows += measure.of_model(study, project, model)
        if torch.cuda.is_available():
            rows.append(row("memory", name, torch.cuda.max_memory_allocated() / 2**20, "MiB"))
    return rows


def encoder_alone(study: params.Params, project: Noise) -> Figure:
    """Seconds of a picture in SAM's encoder, its pixels there already, in the precision of the study's features."""
    sam: FrozenSam = sam_models.load(project.layout.foundation("sam")).to(devices.best())
    count, precision = study.features.batch_size, study.features.precision
    pixels = torch.randn(count, 3, sam.image_size, sam.image_size, device=devices.best())
    with torch.autocast(pixels.device.type, getattr(torch, precision), enabled=precision != "float32"):
        seconds = timed(lambda: sam.prefix(pixels, study.taps())) / count
    return row("encoder alone", sam.architecture, seconds, "s", f"measured in {precision}")


# ----------------------------------------------------------------------------------- resume
def stop_and_go_on(study: params.Params, project: Noise) -> tuple[list[Figure], bool]:
    """Six steps of gavs in one go, and stopped after four; how far their losses differ, and whether too far."""
    view = measure.train_view(study.models["gavs"].on("v2"), "v2", 6)
    one = run.Run(view, 0, project.layout, run.PackData(view, project.layout, device=devices.best()))
    trainers = [one.trainer(devices.best()) for _ in range(3)]
    whole, first, second = trainers
    loop.fit(whole, Path("whole"), "key")
    with contextlib.suppress(loop.Stopped):
        loop.fit(first, Path("parts"), "key", lambda: first.step == 4)
    began = time.perf_counter()
    loop.fit(second, Path("parts"), "key")
    took = time.perf_counter() - began
    losses = [losses_of(Path(folder) / loop.METRICS) for folder in ("whole", "parts")]
    off = max(abs(a - b) / abs(a) for a, b in zip(*losses, strict=True))
    same = all(torch.equal(whole.changing[name], weight) for name, weight in second.changing.items())
    source = "the same weights to the bit" if same else "other weights in some bits"
    rows = [row("resume", "loss", off, "relative", source), row("resume", "last two steps", took, "s", source)]
    broken = not off <= RESUMED or (devices.best() == "cpu" and not same)
    print(f"\nstopped after step 4 and gone on: {source}; losses differ by {off:.1e}{' TOO MUCH' if broken else ''}")
    return rows, broken


def losses_of(path: Path) -> list[float]:
    """The loss of each step."""
    head, *lines = [line.split(",") for line in path.read_text().splitlines()]
    return [float(line[head.index("loss")]) for line in lines]


# ------------------------------------------------------------------------------------ shown
def report(rows: list[Figure], study: params.Params) -> None:
    """The figures as a table."""
    peak = max(each.value for each in rows if each.kind == "ceiling" and each.unit == "TFLOP/s")
    print(f"\n{'':34}{'pixels':>8}{'frames':>8}{'':>14}{'waiting':>9}")
    for each in rows:
        value = f"{1000 * each.value:,.2f} ms" if each.unit == "s" else f"{each.value:.4g} {each.unit}"
        waiting = f"{each.waiting:.0%}" if each.kind in ("step", "validation") else ""
        print(f"{each.kind + ' ' + each.model:34}{each.size or '':>8}{each.frames:8}{value:>18}{waiting:>9}", end="")
        if each.kind in ("encode", "encoder alone"):
            rate, work = 1 / each.value, TFLOP.get(study.foundation.sam.architecture, 0) / each.value
            print(f"   {rate:.1f} a second{f', {work / peak:.0%} of the fastest product' if work else ''}", end="")
        print()


if __name__ == "__main__":
    sys.exit(main())
