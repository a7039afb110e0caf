"""How fast a released model listens: seconds of video as they come, and ONNX graphs beside torch.

Takes turns in one process, one thread each, so that ratios mean something on a busy machine too. Processor time.

    python benchmarks/listening.py [--model demo/gavs-v1m] [--rounds 10]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import soundprompt
from soundprompt.errors import InputError
from soundprompt.prediction import onnx_graphs
from soundprompt.prediction.listener import Listener

RATE, SIZE = 44100, (360, 640)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo/gavs-v1m")
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = soundprompt.load(asked.model, device="cpu")
    print(f"A second of video of {SIZE[1]} x {SIZE[0]} with its sound, {asked.model}:")
    for fps in (1, 25):
        took = medians({"": second(model, fps)}, asked.rounds)[""]
        print(f"  {fps:2d} frames a second: {took:.3f} s")
    try:
        onnx_graphs.check()
    except InputError as error:
        return print(f"No graphs are compared: {error}")
    print("Milliseconds a frame:")
    with tempfile.TemporaryDirectory() as folder:
        onnx_graphs.write(model, Path(folder))
        for name in ("whole", "from_features"):
            for frames in (1, 8):
                took = medians(both(model, Path(folder) / f"{name}.onnx", frames), asked.rounds)
                each = {way: 1000 * time / frames for way, time in took.items()}
                faster = each["torch"] / each["onnxruntime"]
                print(f"  {name:13} {frames} at a time: torch {each['torch']:6.1f}  onnxruntime "
                      f"{each['onnxruntime']:6.1f}  {faster:.2f} times as fast")  # fmt: skip


def second(model: Listener, fps: int) -> Callable[[], object]:
    """Lets a stream hear a second of noise and see it."""
    rng, stream = np.random.default_rng(0), model.stream(RATE)
    frames = rng.integers(0, 256, (fps, *SIZE, 3), dtype=np.uint8)
    sound = rng.uniform(-0.1, 0.1, RATE).astype(np.float32)
    return lambda: stream(frames, sound)


def both(model: Listener, path: Path, frames: int) -> dict[str, Callable[[], object]]:
    """The same graph by torch and by onnxruntime, on the same inputs."""
    module = (onnx_graphs.Whole if path.stem == "whole" else onnx_graphs.FromFeatures)(model).eval()
    side, tap = model.encoder.image_size, model.model.tap
    pixels, log_mel = torch.randn(frames, 3, side, side), torch.randn(frames, 1, 96, 64)
    valid = torch.ones(frames, model.encoder.grid, model.encoder.grid, dtype=torch.bool)
    given = {"pixels": pixels, "log_mel": log_mel, "valid": valid}
    if path.stem != "whole":
        visual = model.encoder.prefix(pixels, [tap])[tap]
        given = {"visual": visual, "audio": model.audio.embed(log_mel), "valid": valid}
    graph = onnx_graphs.session(path, threads=1)
    arrays = {name: tensor.numpy() for name, tensor in given.items()}
    return {
        "torch": torch.inference_mode()(lambda: module(*given.values())),
        "onnxruntime": lambda: graph.run(None, arrays),
    }


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Processor seconds of each way, which take turns; the first round warms up."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            took[name].append(time.process_time() - start)
    return {name: statistics.median(times[1:]) for name, times in took.items()}


if __name__ == "__main__":
    main()
