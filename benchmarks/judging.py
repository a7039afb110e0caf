"""What `soundprompt judge` costs: processor time and memory of judging grey masks of 224 x 224 pixels.

python benchmarks/judging.py [--clips 1000]: five frames a clip, discs as truth, blurred and shifted ones as masks.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from soundprompt.data.avsbench import COLUMNS
from soundprompt.data.world.writing import class_colour

SIZE, FRAMES = 224, 5
NAMES = ("dog", "cat", "guitar", "piano", "bird", "horse", "car", "man")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        truth, masks = Path(folder) / "truth", Path(folder) / "masks"
        write(truth, masks, clips)
        command = [sys.executable, "-m", "soundprompt", "judge", masks, "--dataset", "v1m", "--root", truth]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{clips * FRAMES} frames: {cpu:.1f} s of processor time, at most {peak:.0f} MiB")


def write(truth: Path, masks: Path, clips: int) -> None:
    """Clips in AVSBench-semantic's layout, and masks/<clip>/<frame>.png."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    sound, picture = io.BytesIO(), io.BytesIO()
    soundfile.write(sound, np.zeros(16000 * FRAMES, np.float32), 16000, format="WAV")
    Image.new("RGB", (SIZE, SIZE)).save(picture, "JPEG")
    rows = [COLUMNS]
    for number in range(clips):
        uid, name = f"bench{number // 2:06d}_{number % 2}", NAMES[number % len(NAMES)]
        rows.append((uid, uid, 0, 0, name, "test", "v1m"))
        clip = truth / "v1m" / uid
        for place in (clip / "frames", clip / "labels_rgb", masks / uid):
            place.mkdir(parents=True)
        (clip / "audio.wav").write_bytes(sound.getvalue())
        for frame in range(FRAMES):
            (clip / "frames" / f"{frame}.jpg").write_bytes(picture.getvalue())
            (cy, cx), radius = rng.uniform(60, SIZE - 60, 2), rng.uniform(20, 60)
            labels = np.zeros((SIZE, SIZE, 3), np.uint8)
            labels[np.hypot(y - cy, x - cx) < radius] = class_colour(1 + number % len(NAMES))
            Image.fromarray(labels).save(clip / "labels_rgb" / f"{frame}.png", compress_level=1)
            shift = rng.normal(0, 6, 2)
            grey = 255 / (1 + np.exp((np.hypot(y - cy - shift[0], x - cx - shift[1]) - radius) / 5))
            grey = np.clip(grey + rng.normal(0, 4, grey.shape), 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(masks / uid / f"{frame}.png", compress_level=1)
    with open(truth / "metadata.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


if __name__ == "__main__":
    main()
