"""What the feature cache is worth: the time of a training batch with it and without it, within one run.

    python benchmarks/features.py [--study mini] [--frames 240] [--batches 20]

Makes a throw-away project of noise pictures and sounds of the study's size, with untrained encoders (their speed is
that of trained ones), fills the cache once, and times on one thread, for each model:
- batch: until features, sounds and targets are there. With the cache from memory and from disk; without it by
  reading the pictures and running the frozen part of the encoder.
- step: the batch, the model forward, the loss and the gradients.
Times are medians; the two ways take turns, so that a busy machine troubles both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from soundprompt import params
from soundprompt.data import frame_table, media
from soundprompt.features import extract, frames
from soundprompt.features.frames import Batch, Frames
from soundprompt.foundation import sam
from soundprompt.layout import Layout
from soundprompt.models import build
from soundprompt.planning import noise
from soundprompt.training.losses import decoder_loss

BATCH = 16


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--study", default="mini")
    options.add_argument("--frames", type=int, default=240)
    options.add_argument("--batches", type=int, default=20)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    study = params.load(None if chosen.study == "mini" else chosen.study)
    models = {name: study.models[name] for name in ("gavs", "audio_sam")}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        project = make_project(study, chosen.frames, [m.visual.tune_from for m in models.values()])
        layout = project.layout
        print(f"filling the cache: {1000 * project.encode:.1f} ms a frame, once")
        print(f"\n{'':34}{'with cache':>14}{'from disk':>14}{'without':>14}{'ratio':>9}   ms, batch of {BATCH}")
        for name, model in models.items():
            report(name, model, layout, chosen.batches)
        os.chdir("/")


def report(name: str, model: params.Model, layout: Layout, batches: int) -> None:
    """Two rows of the table: a batch, and a whole training step."""
    encoder = sam.load(layout.foundation("sam"))
    segmenter = build(model, encoder, seed=0)
    rows = frame_table.select(layout, ["v2/train"])
    cached = Frames(rows, layout, segmenter.tap, encoder)
    limit, frames.IN_MEMORY = frames.IN_MEMORY, 0
    on_disk = Frames(rows, layout, segmenter.tap, encoder)
    frames.IN_MEMORY = limit
    cached.batch(range(len(cached)))  # targets are computed once; this is that once
    ways = {
        "with": cached.batch,
        "disk": on_disk.batch,
        "without": lambda picked: uncached(cached, picked, encoder, segmenter.tap),
    }
    tap = extract.tap_name(segmenter.tap)
    for label, after in ((f"{name} ({tap}): batch", None), (f"{name} ({tap}): step", segmenter)):
        took = measure(ways, after, len(cached), batches)
        ratio = took["without"] / took["with"]
        times = "".join(f"{1000 * took[way]:14.2f}" for way in ways)
        print(f"{label:34}{times}{ratio:8.1f}x", flush=True)


def measure(
    ways: dict[str, Callable[[Sequence[int]], Batch]], model: torch.nn.Module | None, count: int, batches: int
) -> dict[str, float]:
    """Median seconds of each way; the first round warms up and does not count."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    rng = np.random.default_rng(0)
    for _ in range(batches + 1):
        picked = rng.choice(count, BATCH, replace=False)
        for way, make in ways.items():
            start = time.perf_counter()
            batch = make(picked)
            if model is not None:
                decoder_loss(model(batch).logits, batch.targets, batch.target_valid).mean().backward()
            took[way].append(time.perf_counter() - start)
    return {way: statistics.median(times[1:]) for way, times in took.items()}


def uncached(data: Frames, picked: Sequence[int], encoder: sam.FrozenSam, tap: int | None) -> Batch:
    """The same batch with its visual features made from the pictures, in float32."""
    pixels = encoder.preprocess([media.read_image(path) for path in data.rows["image"].iloc[picked]])
    return replace(data.batch(picked), visual=encoder.prefix(pixels, [tap])[tap])


def make_project(study: params.Params, count: int, taps: list[int | None]) -> noise.Noise:
    """Noise with at least `count` frames to train on, of the study's size."""
    side = study.world.size
    clips = -(-count // noise.SECONDS["v2"])
    return noise.make(study, clips, (side, side), 10**6, tuple(dict.fromkeys(taps)))


if __name__ == "__main__":
    main()
