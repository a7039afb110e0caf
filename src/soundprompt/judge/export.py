"""A trained run's masks as files, in the form that `judge` reads, from the same features and weights that scoring
used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from soundprompt import devices, models
from soundprompt.data import frame_table
from soundprompt.evaluation import predict
from soundprompt.features.frames import Frames
from soundprompt.files import publish_folder
from soundprompt.foundation import encoders
from soundprompt.prediction import runs
from soundprompt.progress import Progress
from soundprompt.training import checkpoint


def run(folder: Path, dataset: str, out: Path) -> int:
    """Writes `out/<clip>/<frame>.npy`, probabilities (H, W) float32 at the picture's size, for each frame with a truth.

    dataset: a dataset of the run's study, with its split where it is not test ("v3/unseen"). The folder appears whole
    or not at all. Returns how many masks. Raises InputError when the run, its features or the selection are missing.
    """
    trained = runs.load(folder)
    view, layout = trained.view, trained.layout
    rows = frame_table.select(layout, [dataset if "/" in dataset else f"{dataset}/test"])
    rows = rows[rows["mask"].notna() | rows["boxes"].notna()].reset_index(drop=True)
    encoder = encoders.load(view.model, layout)
    model = models.build(view.model, encoder, trained.seed)
    checkpoint.load_into(model, trained.checkpoint, trained.expected)
    asked = predict.questions(rows, ["own"])
    device = devices.best()
    front = models.frozen_front(view.model, encoder, device)
    frames = Frames(asked.frames, layout, view.model.tap, encoder, bgr=view.data.bgr, front=front)
    progress = Progress(f"writing masks of {folder}", len(asked.pairs))
    names = asked.frames[["clip", "frame"]].to_numpy()
    label = f"{view.setting_name}/{view.model_name}"
    with publish_folder(out) as aside:
        for some in predict.answers({trained.seed: model}, frames, asked.pairs, device, label):
            for index, logits in zip(some.frames, encoder.restore(some.logits[trained.seed], some.sizes), strict=True):
                clip, frame = names[index]
                (aside / clip).mkdir(exist_ok=True)
                np.save(aside / clip / f"{frame}.npy", torch.sigmoid(logits).cpu().numpy())
            progress.advance(steps=len(some.numbers))
    return len(asked.pairs)
