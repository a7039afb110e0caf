"""Small artifacts in the true formats, as the stages before the report would have left them.

Pictures are discs on a gradient, predictions are the truth with noise, and scores are drawn around
a level for each method, so that every outcome of a verdict can be had by moving a level.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from PIL import Image
from safetensors.numpy import save_file

from soundprompt import params as p
from soundprompt import registry
from soundprompt.data import frame_table, leaks, ledger
from soundprompt.files import digest_bytes, write_json
from soundprompt.layout import Layout, pack_name

ROOT = Path(__file__).parents[2]
SIZE, FRAMES, GRID = 64, 5, 16
KINDS = {"a0b0c1": "seen", "a1b0c0": "seen", "a1b1c1": "new combination", "a3b0c0": "new level"}
SPLITS = {
    "v1s": {"train": "seen", "val": "seen", "test": "seen"},
    "v1m": {"train": "seen", "val": "seen", "test": "seen"},
    "v2": {"train": "", "val": "", "test": ""},
    "v3": {
        "seen_train": "seen",
        "seen_val": "seen",
        "unseen_val": "new",
        "unseen": "new",
        **{f"{k}_shot_{part}": "new" for k in (1, 3, 5) for part in ("train", "test")},
    },
    "vggss": {"test": ""},
}
LEVELS = {
    "gavs": 0.74,
    "gavs@mismatched": 0.22,
    "gavs-no_audio": 0.20,
    "gavs-no_cue": 0.70,
    "gavs-no_noise": 0.735,
    "gavs-no_triplet": 0.73,
    "gavs-audio_only": 0.66,
    "audio_sam": 0.56,
    "sam_fusion": 0.69,
    "sam_fusion-scratch": 0.64,
    "all_positive": 0.08,
    "all_objects": 0.34,
    "centre_disc": 0.11,
}


def study(**changes) -> p.Params:
    """The full study's settings; `changes` replace top-level blocks."""
    return p.validate(p.merge(raw(), changes))


def raw() -> dict:
    """The same as they are written."""
    return p.read_base(ROOT / "params.yaml", [ROOT / "studies" / "full.yaml"])


def make(params: p.Params, levels: dict[str, float] | None = None, clips: int = 6) -> Layout:
    """All artifacts of a study under the current folder; returns their layout."""
    layout = Layout(params.study)
    scenes = {"scenes": dict.fromkeys(params.world.scenes, "seen")} if "scenes" in params.tables() else {}
    for dataset, splits in {**SPLITS, **scenes}.items():
        _table(layout, dataset, splits, clips)
    leaks.run(p.leaks_view(params), layout)
    _quality(layout)
    levels = {**LEVELS, **(levels or {})}
    for setting, spec in params.settings.items():
        frames = frame_table.select(layout, spec.test)
        floors = [_scores(frames, floor, 0, levels[floor]) for floor in registry.floors()]
        _parquet(pd.concat(floors), layout.floors(setting))
    for setting, model, seed in params.evaluations():
        _run(params, layout, setting, model, seed, levels)
    for setting, model in sorted({(s, m) for s, m, _ in params.evaluations()}):
        for seeds in params.packs(setting, model, evaluate=True):
            write_json(layout.scored(setting, model, pack_name(seeds)), {"runs": {}})
    return layout


# ------------------------------------------------------------------------------------ data
def _table(layout: Layout, dataset: str, splits: dict[str, str], clips: int) -> None:
    rows, book = [], ledger.Ledger(dataset)
    for split, kind in splits.items():
        classes = [c for c, k in KINDS.items() if kind in ("", k) or (kind == "new" and k.startswith("new"))]
        classes = ["a0b1c0"] if split == "unseen_val" else classes  # classes of its own, as in the world
        for number in range(clips):
            name = f"{dataset}_{split}_{number:03d}"
            rows += _clip_rows(layout, dataset, split, name, classes[number % len(classes)], number)
            book.add(split, name, "found")
    frame_table.write(pd.DataFrame(rows), layout.table(dataset))
    book.write(ledger.path(layout, dataset))


def _clip_rows(layout: Layout, dataset: str, split: str, name: str, class_name: str, number: int) -> list[dict]:
    folder = layout.data / "clips" / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([number, *name.encode()])
    times = np.arange(16000 * FRAMES) / 16000
    wave = 0.3 * np.sin(2 * np.pi * (200 + 100 * number) * times)
    soundfile.write(folder / "audio.wav", wave, 16000)
    count = 1 if dataset == "vggss" else FRAMES
    return [_frame_row(folder, dataset, split, name, class_name, frame, rng) for frame in range(count)]


def _frame_row(folder: Path, dataset: str, split: str, name: str, class_name: str, frame: int, rng) -> dict:
    y, x = np.mgrid[:SIZE, :SIZE]
    cy, cx = rng.uniform(18, SIZE - 18, 2)
    mask = (y - cy) ** 2 + (x - cx) ** 2 < 11**2
    picture = np.stack([90 + x, 110 + y // 2, 140 - x // 2], axis=-1).astype(np.uint8)
    picture[mask] = (230, 160, 60)
    image, truth = folder / f"{frame}.jpg", folder / f"{frame}.png"
    image.write_bytes(_encode(picture, "JPEG"))
    truth.write_bytes(_encode((mask * 255).astype(np.uint8), "PNG"))
    boxed = dataset == "vggss"
    box = [[(cx - 11) / SIZE, (cy - 11) / SIZE, (cx + 11) / SIZE, (cy + 11) / SIZE]]
    return {
        "dataset": dataset,
        "clip": name,
        "video": name,
        "class_name": class_name,
        "kind": KINDS.get(class_name, "new combination"),
        "split": split,
        "frame": frame,
        "second": frame,
        "n_sources": 1 + frame % 2 if dataset == "v1m" else 1,
        "silent": None,
        "image": str(image),
        "audio": str(folder / "audio.wav"),
        "mask": None if boxed else str(truth),
        "objects": None,
        "boxes": box if boxed else None,
        "width": SIZE,
        "height": SIZE,
        "image_digest": digest_bytes(image.read_bytes()),
        "audio_digest": digest_bytes((folder / "audio.wav").read_bytes()),
        "mask_digest": None if boxed else digest_bytes(truth.read_bytes()),
    }


def _encode(pixels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def _quality(layout: Layout) -> None:
    origin = {"key": "0" * 64, "commit": "0" * 40, "cost": {"wall_s": 300.0, "cpu_s": 290.0, "peak_mib": 900.0}}
    iou = {"mean": 0.81, "standard_error": 0.007, "pictures": 400}
    probe = {"chance": 1 / 3, "seen": 0.97, "new combination": 0.93, "new level": None}
    sam = {"parameters": 1_830_000, "iou": {"point": iou, "box": iou, "concept": None}, "probes": {"hue": probe}}
    audio = {"parameters": 820_000, "probes": {"pitch": probe, "timbre": probe}}
    for name, quality in (("sam", sam), ("audio", audio)):
        write_json(layout.foundation_quality(name), {"quality": quality, "provenance": origin})


# ------------------------------------------------------------------------------------ runs
def _run(params: p.Params, layout: Layout, setting: str, model: str, seed: int, levels: dict[str, float]) -> None:
    spec = params.settings[setting]
    folder = layout.run(setting, model, seed)
    frames = frame_table.select(layout, spec.test)
    gain = {"1": 0.02, "3": 0.05, "5": 0.07}.get(setting.removeprefix("v3_")[:1], 0.0)
    parts = []
    for probe in params.probes(setting, model):
        method = model if probe == "own" else f"{model}@{probe}"
        parts.append(_scores(frames, method, seed, levels[method] + gain))
    _parquet(pd.concat(parts), folder / "scores.parquet")
    if seed == params.seeds[0]:
        _predictions(folder, frames, levels[model])
    if spec.train:
        _training(params, folder, setting, model, seed, levels[model])


def _scores(frames: pd.DataFrame, method: str, seed: int, level: float) -> pd.DataFrame:
    rng = np.random.default_rng([seed, *method.encode()])
    level += rng.normal(0, 0.004)
    common = ["selection", "clip", "video", "class_name", "kind", "n_sources"]
    found = []
    for _, clip in frames.groupby(["selection", "clip"], sort=False):
        head = {name: clip.iloc[0][name] for name in common} | {"method": method, "seed": seed}
        boxes = clip.iloc[0]["boxes"] is not None
        centre = level + rng.normal(0, 0.06)
        whole = {"ciou": centre, "ciou_fixed": centre - 0.05} if boxes else {"f_score": centre + 0.09}
        found += [head | {"frame": -1, "metric": m, "value": float(np.clip(v, 0, 1))} for m, v in whole.items()]
        for frame in [] if boxes else clip["frame"]:
            value = float(np.clip(centre + rng.normal(0, 0.05), 0, 1))
            each = {"miou": value, "miou_04": value, "hit_rate": value >= 0.5, "wrong_rate": value < 0.2}
            each |= {"iou_in_hits": value} if value >= 0.5 else {}
            found += [head | {"frame": frame, "metric": m, "value": float(v)} for m, v in each.items()]
    return pd.DataFrame(found)


def _parquet(rows: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path, index=False)


def _predictions(folder: Path, frames: pd.DataFrame, level: float) -> None:
    tensors, kept = {}, {}
    for selection, rows in frames.groupby("selection", sort=False):
        logits = np.stack([_logits(row, level) for row in rows.itertuples()])
        tensors[f"{selection}|own"] = logits.astype(np.float16)
        kept[f"{selection}|own"] = [[row.clip, int(row.frame)] for row in rows.itertuples()]
    save_file(tensors, folder / "predictions.safetensors", metadata={"frames": json.dumps(kept)})


def _logits(row, level: float) -> np.ndarray:
    if row.mask is None:
        truth = np.zeros((SIZE, SIZE), np.float32)
        for x0, y0, x1, y1 in row.boxes:
            truth[int(y0 * SIZE) : int(y1 * SIZE), int(x0 * SIZE) : int(x1 * SIZE)] = 1
    else:
        truth = np.asarray(Image.open(row.mask), np.float32) / 255
    small = np.asarray(Image.fromarray(truth).resize((GRID, GRID), Image.Resampling.BOX))
    shift = round((1 - level) * 4)
    return np.roll(small, shift, axis=1) * 10 - 5


def _training(params: p.Params, folder: Path, setting: str, model: str, seed: int, level: float) -> None:
    steps = np.arange(0, 1001, 100)
    curve = level * (1 - np.exp(-steps / 250)) + np.random.default_rng(seed).normal(0, 0.004, len(steps))
    journal = pd.DataFrame({"step": steps, "loss": 1 - curve, "mask": 1 - curve, "validation": curve})
    journal.to_csv(folder / "metrics.csv", index=False)
    result = {"key": "1" * 64, "checkpoint": "2" * 64, "best_step": 900, "validation": level, "steps": 1000}
    result["validation_floor"] = LEVELS["all_positive"]
    record = {
        "stage": "train",
        "key": "1" * 64,
        "seed": seed,
        "inputs": {"sam": "3" * 64},
        "code": "4" * 64,
        "commit": "5" * 40,
        "packages": {"torch": "2"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "python": "3.11"},
        "cost": {"wall_s": 70.0, "cpu_s": 69.0, "peak_mib": 800.0 + seed},
        "training_s": 65.0,
        "waiting_s": 5.2,
        "device": "cpu",
        "result": {**result, "trained_parameters": 250_000, "start_kept": False},
    }
    write_json(folder / "provenance.json", record)


def small_study(*experiments: str, models=("gavs-no_audio", "gavs@mismatched", "sam_fusion", "gavs")) -> p.Params:
    """Some of the full study's experiments, two seeds; by default one of each kind."""
    names = experiments or ("table_benchmarks", "table_v3", "table_vggss")
    params = study()
    metrics = {"table_vggss": ("ciou", "auc")}
    plain = {"methods": ("centre_disc", *models), "seeds": None, "curves": (), "dots": ()}
    kept = {
        name: params.experiments[name].model_copy(
            update={**plain, "metrics": metrics.get(name, ("miou", "f_score", "hit_rate"))}
        )
        for name in names
    }
    used = {setting for experiment in kept.values() for setting in experiment.settings}
    settings = {name: spec for name, spec in params.settings.items() if name in used or name == "v2"}
    return params.model_copy(update={"experiments": kept, "settings": settings, "seeds": (0, 1)})


def tabulate(params: p.Params, layout: Layout) -> None:
    """The tables and plots of every experiment."""
    from soundprompt.report import plots, tables

    for name in params.experiments:
        view = p.table_view(params, name)
        tables.run(view, layout)
        plots.run(view, layout)
