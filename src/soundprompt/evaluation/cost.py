"""What a frame costs with each model: parameters, arithmetic, memory, time. Speed needs no trained weights.

- *cached*: from the features that the cache holds to the mask at the picture's own size. Otherwise from the picture
  (uint8) and its second of sound, through the frozen encoders.
- A film is a stream of frames, asked one by one; its sound is encoded once a second. The real-time factor is the
  time that a second of film takes, in seconds: below 1 the model keeps up. It says nothing of the delay: an answer
  must wait until its second of sound is over.
- Times are of one thread. On the CPU they are processor time, so that what others do on the machine counts little;
  on a GPU wall time until the device has finished.
- Memory is that of tensors: the weights that a frame needs, and the largest sum of all else that was alive at once.
  Allocators, libraries and Python come on top, the same for all models.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soundprompt import devices, models, provenance
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.evaluation import flops
from soundprompt.features.frames import Batch
from soundprompt.files import write_sealed
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import encoders
from soundprompt.foundation.audio import EXAMPLE_SAMPLES, FrozenAudio
from soundprompt.foundation.encoders import Encoder
from soundprompt.foundation.process import single_thread
from soundprompt.layout import Layout
from soundprompt.progress import Progress
from soundprompt.registry import Metric

FILM = 25  # frames a second of the stream
THRESHOLD = 0.5
Entry = dict[str, float]  # value, and where it was timed several times its quartiles low and high


def run(view: p.CostView, layout: Layout) -> None:
    """Writes `layout.cost`: the metrics registered below for each model, and how they were taken.

    All models are measured in this process and take turns, so that their ratios are those of one machine in one
    state. Raises InputError when no experiment asks for costs, or a foundation model is missing or damaged.
    """
    if not view.models:
        remedy = f"name one of {', '.join(MEASURED)} in an experiment's metrics"
        raise InputError(f"study '{view.study}' has no experiment that asks for costs", remedy=remedy)
    watch = provenance.Stopwatch()
    device = torch.device(devices.best())
    kinds = {(model.reads, model.pyramid): model for model in view.models.values()}
    seers = {kind: encoders.load(model, layout).to(device) for kind, model in kinds.items()}
    audio = audio_models.load(layout.foundation("audio")).to(device)
    with single_thread():
        viewers = {
            name: Viewer(model, seers[model.reads, model.pyramid], audio, view.picture)
            for name, model in view.models.items()
        }
        found = {name: {**sizes(viewer), **work(viewer)} for name, viewer in viewers.items()}
        for name, timed in timings(viewers, view.cost).items():
            found[name] |= timed
    inputs = {reads: seer.digest for (reads, _), seer in seers.items()} | {"audio": audio.digest}
    origin = provenance.record("cost", view, None, inputs, watch)
    write_sealed(layout.cost, {"models": found, "device": _device_name(device), "provenance": origin})
    _print(found)


# --------------------------------------------------------------------------------- a frame
class Viewer:
    """A model behind the frozen encoders, with a picture and a second of sound to try it on.

    picture: height and width, pixels; it is filled with noise, as is the sound. trained: how many parameters of the
    model train. They are frozen here, as torch's counter of arithmetic stumbles over views of parameters that are not.
    """

    def __init__(self, model: p.Model, encoder: Encoder, audio: FrozenAudio, picture: tuple[int, int]):
        self.encoder, self.audio = encoder, audio
        self.model = models.build(model, encoder, 0).eval()
        self.trained = sum(weight.numel() for weight in self.model.trained_parameters().values())
        self.model.requires_grad_(False)
        self.device = next(self.model.parameters()).device
        rng = np.random.default_rng(0)
        self.picture = rng.integers(0, 256, (*picture, 3), dtype=np.uint8)
        self.wave = rng.uniform(-0.5, 0.5, EXAMPLE_SAMPLES).astype(np.float32)
        self.visual, self.sound = self.see(), self.hear()

    @torch.no_grad()
    def see(self) -> Tensor:
        """The picture's features at the model's tap: what the cache would hold; or pixels, for which there is none."""
        pixels, tap = self.encoder.preprocess([self.picture]), self.model.tap
        return pixels if tap == "pixels" else self.encoder.prefix(pixels, [tap])[tap]

    @torch.no_grad()
    def hear(self) -> Tensor:
        """The 128 numbers of the second of sound, (1, 128)."""
        return self.audio.embed(self.audio.examples(self.wave)).to(self.device)

    @torch.no_grad()
    def mask(self, visual: Tensor, sound: Tensor) -> Tensor:
        """(H, W) bool on the CPU, at the picture's own size."""
        size, cells = self.picture.shape[:2], self.encoder.cells
        batch = Batch(
            visual=visual,
            audio=sound,
            valid=self.encoder.valid_cells([size]).to(self.device),
            sizes=[size],
            masks=None,
            targets=None,
            target_valid=torch.zeros((1, 1, cells, cells), dtype=torch.bool),  # for training only
            clips=[],
            videos=[],
            classes=[],
        )
        logits = self.model(batch).logits
        return (torch.sigmoid(self.encoder.restore(logits, [size])[0]) > THRESHOLD).cpu()

    def cached(self) -> Tensor:
        """One frame, its features given."""
        return self.mask(self.visual, self.sound)

    def frame(self) -> Tensor:
        """One frame from picture and sound."""
        return self.mask(self.see(), self.hear())

    def second(self) -> None:
        """A second of film."""
        sound = self.hear()
        for _ in range(FILM):
            self.mask(self.see(), sound)


# -------------------------------------------------------------------------- what is counted
def needed(viewer: Viewer) -> list[nn.Parameter]:
    """The weights that a frame goes through: of the image encoder up to the tap, of the sound encoder, the model's.

    Of SAM's decoder and of the blocks behind the tap the model holds its own copies; their tables of relative
    positions it holds spread out, as buffers. A model that reads pixels holds all of its encoder.
    """
    model, audio, tap = viewer.model, viewer.audio, viewer.model.tap
    if tap == "pixels":
        return [*audio.module.parameters(), *model.parameters()]
    encoder = viewer.encoder.sam.image_encoder
    seen = [encoder.patch_embed, *encoder.blocks[:tap], *([encoder.neck] if tap is None else [])]
    weights = [weight for part in (*seen, audio.module, model) for weight in part.parameters()]
    behind = [] if tap is None else [block.attn for block in encoder.blocks[tap:]]
    weights += [table for attention in behind for table in (attention.rel_pos_h, attention.rel_pos_w)]
    return weights + ([encoder.pos_embed] if encoder.pos_embed is not None else [])


def sizes(viewer: Viewer) -> dict[str, Entry]:
    """Parameters: those that train, and all that a frame goes through."""
    return {
        "trained_parameters": {"value": viewer.trained},
        "total_parameters": {"value": sum(weight.numel() for weight in needed(viewer))},
    }


def work(viewer: Viewer) -> dict[str, Entry]:
    """Arithmetic of one frame (10^9 operations), and the memory of tensors that it needs (MiB)."""
    weights = [*needed(viewer), *viewer.model.buffers()]
    held = sum(weight.numel() * weight.element_size() for weight in weights)
    return {
        "gflops": {"value": flops.count(viewer.frame) / 1e9},
        "gflops_cached": {"value": flops.count(viewer.cached) / 1e9},
        "peak_mib": {"value": (held + largest(viewer.frame, viewer.device)) / 2**20},
    }


def largest(call: Callable[[], Any], device: torch.device) -> int:
    """The most bytes of tensors that `call` had alive at once, those not counted that were there before."""
    call()  # what is made once and kept is made here
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = (event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
    return highest(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))


def highest(changes: Iterable[int]) -> int:
    """The highest level that a sum of changes reaches, from 0."""
    level = peak = 0
    for change in changes:
        level += change
        peak = max(peak, level)
    return peak


# ---------------------------------------------------------------------------- what is timed
def timings(viewers: dict[str, Viewer], settings: p.Cost) -> dict[str, dict[str, Entry]]:
    """Latency of one frame with and without the encoders, and the real-time factors, for each model.

    A round asks every model once; the first one warms up and does not count. At one frame a second a second of
    film is one frame and its sound, so that factor is the latency.
    """
    times: dict[str, dict[str, list[float]]] = {name: {"frame": [], "cached": [], "second": []} for name in viewers}
    progress = Progress("rounds of timing", settings.rounds)
    for number in range(settings.rounds + 1):
        for name, viewer in viewers.items():
            kinds = ("frame", "cached", "second") if 1 <= number <= settings.seconds else ("frame", "cached")
            for kind in kinds:
                took = timed(getattr(viewer, kind), viewer.device)
                if number:
                    times[name][kind].append(took)
        if number:
            progress.advance()
    return {
        name: {
            "latency_ms": summary(taken["frame"], 1000),
            "latency_cached_ms": summary(taken["cached"], 1000),
            "rtf_1": summary(taken["frame"]),
            "rtf_25": summary(taken["second"]),
        }
        for name, taken in times.items()
    }


def timed(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a call: of this thread's processor on the CPU, of the clock on a GPU."""
    if device.type == "cpu":
        began = time.process_time()
        call()
        return time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


def summary(taken: list[float], unit: float = 1.0) -> Entry:
    """Median and quartiles of some seconds, times `unit`."""
    low, middle, high = statistics.quantiles(taken, n=4, method="inclusive") if len(taken) > 1 else 3 * taken
    return {"value": middle * unit, "low": low * unit, "high": high * unit}


def _device_name(device: torch.device) -> str:
    return "CPU, one thread" if device.type == "cpu" else torch.cuda.get_device_name(device)


def _print(found: dict[str, dict[str, Entry]]) -> None:
    width = max(map(len, found))
    print(f"{'':{width}}" + "".join(f"{name:>20}" for name in MEASURED), file=sys.stderr)
    for model, entries in found.items():
        cells = (f"{entries[name]['value']:>20.4g}" for name in MEASURED)
        print(f"{model:{width}}" + "".join(cells), file=sys.stderr)


REGISTERED = (
    Metric(name="trained_parameters", stage="cost", higher_is_better=False, amount=True, label="trained parameters",
           meaning="Numbers that training changes."),
    Metric(name="total_parameters", stage="cost", higher_is_better=False, amount=True, label="all parameters",
           meaning="Numbers that a frame goes through, frozen ones too."),
    Metric(name="gflops", stage="cost", higher_is_better=False, amount=True, label="GFLOP a frame",
           meaning="10⁹ operations in matrix products and convolutions, with encoders."),
    Metric(name="gflops_cached", stage="cost", higher_is_better=False, amount=True, label="GFLOP, cached",
           meaning="The same from cached features: what the encoders took is left out."),
    Metric(name="latency_ms", stage="cost", higher_is_better=False, amount=True, label="ms a frame",
           meaning="From a picture and its second of sound to the mask, one frame at a time."),
    Metric(name="latency_cached_ms", stage="cost", higher_is_better=False, amount=True, label="ms, cached",
           meaning="The same from cached features."),
    Metric(name="rtf_1", stage="cost", higher_is_better=False, amount=True, label="real time, 1 a second",
           meaning="Time for a second of film at 1 frame a second; below 1 keeps up."),
    Metric(name="rtf_25", stage="cost", higher_is_better=False, amount=True, label="real time, 25 a second",
           meaning="Time for a second of film at 25 frames a second; below 1 keeps up."),
    Metric(name="peak_mib", stage="cost", higher_is_better=False, amount=True, label="memory, MiB",
           meaning="Weights that a frame needs, and the most that its tensors took at once."),
)  # fmt: skip
MEASURED = tuple(metric.name for metric in REGISTERED)
