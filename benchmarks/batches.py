"""What a batch of full-sized frames costs to make, and how long training waits for it, within one run.

    python benchmarks/batches.py [--clips 4] [--step 60] [--steps 40] [--workers 0 1 4] [--device cpu]

Makes a throw-away project of clips of ten frames of 720 x 1280 with masks in colour, and in place of a cache random
numbers of the shape of ViT-B's at 1024 pixels before block 9 (6 MiB a frame), none of it kept in memory. One thread.
- a batch of ten frames, milliseconds of processor time, least of `--rounds`: with masks from their pictures, targets
  and conversion to float32 on the processor, as it was made once; read now, for the first time (sums are compared) and
  again; and completed on the processor with what each loss reads, which on a GPU is done there.
- waiting: `training.loop.Trainer` takes `--steps` steps of ten frames and a spare one, with `--workers` processes that
  read ahead. On a GPU these are steps of `gavs` of studies/paper.yaml; without one a stand-in sleeps `--step`
  milliseconds in place of the GPU, and converts nothing either. Steps that warm up do not count. Of processors: what a
  step takes of all of them, readers included; on a machine that is busy or has few, this says what others would wait.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from fullsize import paper_model, random_sam, tuned_from
from soundprompt import models
from soundprompt.data import frame_table, masks, media
from soundprompt.features import background, extract, frames, plan, store
from soundprompt.features.frames import Batch, Frames
from soundprompt.files import digest_bytes, write_json
from soundprompt.foundation.sam import FrozenSam
from soundprompt.layout import Layout
from soundprompt.training import schedule
from soundprompt.training.loop import Trainer
from soundprompt.training.sampler import Sampler

HEIGHT, WIDTH, FRAMES = 720, 1280, 10
WARM = 8  # steps


class StandIn(Trainer):
    """A trainer whose steps sleep."""

    seconds = 0.0

    def loss(self, batch: Batch, spare: Batch | None = None) -> dict[str, Tensor]:
        """Takes its time."""
        time.sleep(self.seconds)
        return dict.fromkeys(("loss", "mask"), torch.tensor(1.0))

    def update(self, step: int, loss: Tensor) -> Tensor:
        """Nothing."""
        return torch.tensor(1.0)


def main() -> None:
    """Prints both tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clips", type=int, default=4)
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--step", type=float, default=60)
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--workers", type=int, nargs="+", default=[0, 1, 4])
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    frames.IN_MEMORY = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sam, layout = random_sam(1024), Layout("batches")
        rows = make_project(sam, layout, chosen.clips)
        report_batch(Frames(rows, layout, tuned_from(), sam), chosen.rounds)
        report_waiting(rows, layout, sam, chosen)
        os.chdir("/")


# ------------------------------------------------------------------------------- a batch
def report_batch(data: Frames, rounds: int) -> None:
    """The first table."""
    picked = list(range(FRAMES))
    start = time.process_time()
    read = data.read(picked)
    first = time.process_time() - start
    ways: dict[str, Callable[[], object]] = {
        "as it was: pictures of masks, targets, float32": lambda: as_it_was(data, picked),
        "read, again": lambda: data.read(picked),
        "completed for the loss at original size": lambda: data.complete(read, targets=False),
        "completed for the loss at the decoder's size": lambda: data.complete(read, masks=False),
    }
    print(f"{FRAMES} frames of {WIDTH} x {HEIGHT}: ms of one core")
    print(f"  {'read, for the first time':50}{1000 * first:8.1f}")
    took = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, make in ways.items():
            start = time.process_time()
            make()
            took[name] = min(took[name], time.process_time() - start)
    for name, seconds in took.items():
        print(f"  {name:50}{1000 * seconds:8.1f}", flush=True)


def as_it_was(data: Frames, picked: list[int]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Each mask decoded twice, for itself and for its target; features converted on the processor."""
    files = [data.rows["mask"].iloc[i] for i in picked]
    once, twice = ([torch.from_numpy(media.read_mask(path)) for path in files] for _ in range(2))
    return data.read(picked, labels=False).visual.float(), once, [data._grids[0].average(mask) for mask in twice]


# ------------------------------------------------------------------------------- waiting
def report_waiting(rows: pd.DataFrame, layout: Layout, sam: FrozenSam, chosen: argparse.Namespace) -> None:
    """The second table."""
    what = f"a step sleeps {chosen.step:.0f} ms" if chosen.device == "cpu" else torch.cuda.get_device_name()
    print(f"\nsteps of {FRAMES} frames and a spare one; {what}\n  workers   ms a step   waiting   of processors")
    for workers in chosen.workers:
        trainer = make_trainer(Frames(rows, layout, tuned_from(), sam, workers=workers), sam, chosen)
        busy = processor_time()
        for _ in range(WARM):
            trainer.advance()
        start, waited = time.perf_counter(), trainer.waited
        for _ in range(chosen.steps):
            trainer.advance()
        seconds = time.perf_counter() - start
        trainer.close()  # the readers' time counts when they have ended
        share, busy = (trainer.waited - waited) / seconds, (processor_time() - busy) / (chosen.steps + WARM)
        print(f"  {workers:7}{1000 * seconds / chosen.steps:12.1f}{share:10.1%}{1000 * busy:13.1f} ms", flush=True)


def processor_time() -> float:
    """Seconds of this process and of those that it had."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def make_trainer(data: Frames, sam: FrozenSam, chosen: argparse.Namespace) -> Trainer:
    """Of `gavs`, a clip of ten frames a step."""
    model = paper_model()
    settings = model.schedule.model_copy(update={"epochs": None, "warmup": 0, "steps": WARM + chosen.steps})
    model = model.model_copy(update={"schedule": settings})
    clips = [list(range(first, first + FRAMES)) for first in range(0, len(data), FRAMES)]
    names = [str(number) for number in range(len(clips))]
    sampler = Sampler(clips, names, names, 0, 1, FRAMES)
    kind = StandIn if chosen.device == "cpu" else Trainer
    built = models.build(model, sam, 0).to(chosen.device)
    trainer = kind(built, model, schedule.plan(settings, 1, False), sam, sampler, data, {}, chosen.device)
    if isinstance(trainer, StandIn):
        trainer.seconds, trainer.device = chosen.step / 1000, torch.device("meta")
    return trainer


# ------------------------------------------------------------------------------- made up
def make_project(sam: FrozenSam, layout: Layout, clips: int) -> pd.DataFrame:
    """Clips of noise; rows of their frame table."""
    rows = pd.DataFrame([row for number in range(clips) for row in make_clip(number)])
    frame_table.write(rows, layout.table("v2"))
    packed = {row.mask_digest: masks.Packed.of(media.read_mask(row.mask)) for row in rows.itertuples()}
    masks.write(packed, layout.masks("v2"))
    pictures = plan.pictures(["v2"], 1, layout)
    with plan.publish(layout.visual_plan, recorded=True) as aside:
        pictures.to_parquet(aside, index=False)
    shape = (len(rows), sam.grid, sam.grid, sam.dim)
    values = torch.empty(shape, dtype=torch.float16).normal_(generator=torch.Generator().manual_seed(0))
    recipe = extract.visual_recipe(sam, False) | {"dtype": "float16"}
    digests = pictures["image_digest"].tolist()
    store.write(layout.visual_shard(0), recipe, digests, {extract.tap_name(tuned_from()): values})
    write_json(layout.visual_index, {})
    seconds = rows.drop_duplicates(["audio_digest", "second"])
    pairs = zip(seconds["audio_digest"], seconds["second"], strict=True)
    names = [extract.sound_row(*pair) for pair in pairs] + list(background.ROWS)
    store.write(layout.audio_features, {"dtype": "float32"}, names, {extract.SOUND: torch.randn(len(names), 128)})
    return frame_table.select(layout, ["v2/train"])


def make_clip(number: int) -> list[dict]:
    """Ten frames; what no one opens is not there."""
    folder = Path(f"data/batches/{number}")
    folder.mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rows = []
    for frame in range(FRAMES):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[(y - 300 - 9 * frame) ** 2 + (x - 500 - 50 * number) ** 2 < 200**2] = (128, 0, 128)
        path = folder / f"{frame}.png"
        Image.fromarray(pixels).save(path)
        text = {"dataset": "v2", "clip": str(number), "video": str(number), "class_name": str(number), "kind": ""}
        counts = {"frame": frame, "second": frame, "n_sources": 1, "width": WIDTH, "height": HEIGHT}
        paths = {"image": f"{number}-{frame}.jpg", "audio": f"{number}.wav", "mask": str(path)}
        unknown = dict.fromkeys(("objects", "boxes", "silent"))
        digests = {f"{kind}_digest": digest_bytes(name.encode()) for kind, name in paths.items()}
        rows.append({**text, "split": "train", **counts, **paths, **unknown, **digests})
    return rows


if __name__ == "__main__":
    main()
