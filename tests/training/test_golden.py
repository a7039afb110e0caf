"""What a short run of each architecture came to when it was last looked at: losses by step, scores on the test.

A change of these numbers is a change of results, wanted or not. Where it is wanted, write them down anew, and say why
in the commit: `GOLDEN=write python -m pytest tests/training/test_golden.py`

On the kind of processor and with the torch that wrote them, all bits are compared: every trained weight, loss and
score. Others add sums up in another order, and come near.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from soundprompt import params as p
from soundprompt.evaluation.run import score_pack
from soundprompt.foundation import pyramid
from soundprompt.training import run

GOLDEN = Path(__file__).parent / "golden"
FUSION = {"cola": {"enabled": False}, "triplet": {"weight": 0}}
PYRAMID = {**FUSION, "visual": {"tune_from": None}}
SCHEDULE = {"learning_rate": 3e-3, "steps": 12, "validate_every": 6, "clips_per_step": 4}
SMALL = {"width": 8, "queries": 4, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "points": 2, "hidden": 8,
         "generator_layers": 1, "generator_hidden": 8, "head": [4, 4]}  # fmt: skip
# One frame a step: the triplet needs a spare one. The paper's loss, and every kind of draw.
ALONE = {"clips_per_step": 1, "loss_size": "original", "negatives": 0.3}
MODELS = {
    "gavs": {},
    "gavs_alone": {"architecture": "gavs", "schedule": ALONE, "sap": {"noise": "gaussian_additive"}},
    "gavs_presence": {
        "architecture": "gavs",
        "schedule": {"negatives": 0.4, "keep": "last"},
        "presence": {"enabled": True},
    },
    "sam_fusion": {**FUSION, "decoder": "full"},
    "avsbench_tpavi": {**PYRAMID, "tpavi": {"width": 8, "dilations": [1, 3], "reduce_first": True, "head": [4, 4]}},
    "avsegformer": {**PYRAMID, "avsegformer": SMALL},
}
# Relative; of gradients and scores 50 times that. Other processors sum in another order; metrics.csv has six digits.
LOSSES = 2e-5


@pytest.mark.parametrize("name", MODELS)
def test_a_short_run_comes_to_the_same(tiny, tmp_path, view, name):
    _with_pyramid(tiny, tmp_path)
    chosen = view(name=name, **p.merge({"architecture": name, "schedule": SCHEDULE}, MODELS[name]))
    run.train_pack(chosen, (0,), tiny)
    score_pack(p.ScoreView(**dict(chosen), evaluation=p.Evaluation(), probes=("own", "muted")), (0,), tiny)
    found = _numbers(tiny.run("v1s", name, 0))
    path = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(path.read_text())
    if found["machine"] == expected["machine"]:
        assert found == expected
    assert found["losses"] == pytest.approx(expected["losses"], rel=LOSSES)
    assert found["gradients"] == pytest.approx(expected["gradients"], rel=50 * LOSSES)
    assert found["scores"] == pytest.approx(expected["scores"], rel=50 * LOSSES, abs=1e-4)


def _with_pyramid(layout, root) -> None:
    """Weights of the tiny study's SAM, and an untrained pyramid beside them."""
    weights = (root / "weights").resolve()
    (root / "weights").unlink()
    layout.foundation("sam").parent.mkdir(parents=True)
    layout.foundation("sam").symlink_to(weights / layout.study / "sam.safetensors")
    torch.manual_seed(0)
    pyramid.save(pyramid.build("mini_pyramid"), p.Pyramid(image_size=64), layout.foundation("pyramid"))


def _numbers(folder: Path) -> dict:
    steps = pd.read_csv(folder / "metrics.csv")
    scores = pd.read_parquet(folder / "scores.parquet")
    means = scores.astype({"method": str, "metric": str}).groupby(["method", "metric"])["value"].mean()
    weights = load_file(folder / "checkpoint.safetensors")
    bits = hashlib.sha256(b"".join(weights[name].numpy().tobytes() for name in sorted(weights)))
    return {
        "machine": f"{_processor()}, torch {torch.__version__}",
        "weights": bits.hexdigest(),
        "losses": steps["loss"].tolist(),
        "gradients": steps["gradient"].tolist(),
        "scores": {" ".join(key): value for key, value in means.items()},
    }


def _processor() -> str:
    """What decides in which order sums are added up."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"
