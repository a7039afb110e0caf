"""How much the one-pass F-measure saves, against 255 comparisons, in one run on one thread.

python benchmarks/evaluation.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from soundprompt.evaluation import metrics, scores
from soundprompt.params import Evaluation

FRAMES, SIDE = 400, 128


def sweep(probability: Tensor, target: Tensor) -> Tensor:
    """F of each frame at each threshold by comparing all pixels with all thresholds, (N, 255)."""
    wanted = target.sum(1, dtype=torch.int32).double()
    curves = []
    for threshold in metrics.f_thresholds():
        on = probability >= threshold
        hits, predicted = ((on & target).sum(1, dtype=torch.int32).double(), on.sum(1, dtype=torch.int32).double())
        precision, recall = hits / (predicted + 1e-20), hits / (wanted + 1e-20)
        curves.append((1.3 * precision * recall / (0.3 * precision + recall)).nan_to_num(nan=0.0))
    return torch.stack(curves, 1)


def best_of(repeats: int, call: Callable[[], object]) -> float:
    """Shortest of several wall times, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(FRAMES, SIDE, SIDE, generator=rng) * 5 - 3
    target = torch.rand(FRAMES, SIDE, SIDE, generator=rng) < 0.1
    probability, flat = torch.sigmoid(logits).flatten(1), target.flatten(1)
    difference = float((metrics.f_curves(probability, flat)[0] - sweep(probability, flat)).abs().max())
    one_pass = best_of(3, lambda: metrics.f_curves(probability, flat))
    compared = best_of(1, lambda: sweep(probability, flat))
    print(f"{FRAMES} frames of {SIDE} x {SIDE}, one thread; largest difference of a curve {difference:.0e}")
    print(f"F-measure, 255 comparisons: {compared:.2f} s")
    print(f"F-measure, one pass:        {one_pass:.3f} s, {compared / one_pass:.0f} times faster")
    tally = scores.Tally(FRAMES, scores.Conventions(Evaluation()))
    maps = list(torch.sigmoid(logits))
    everything = best_of(3, lambda: tally.add_masks(range(FRAMES), maps, list(target)))
    print(f"all mask metrics of a frame: {1000 * everything / FRAMES:.2f} ms")


if __name__ == "__main__":
    main()
