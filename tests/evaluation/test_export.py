"""`soundprompt masks`: a run's masks as files give the scores that scoring wrote."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_study import put_checkpoint

from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.evaluation import summary
from soundprompt.evaluation.run import score_pack
from soundprompt.files import write_json
from soundprompt.judge import conventions, export, measured, reading


def put_run(view, layout):
    """An untrained run with what training leaves beside its checkpoint."""
    path = put_checkpoint(view, 0, layout, view.setting_name)
    kept = {name: getattr(view, name) for name in p.TrainView.model_fields}
    write_json(path.parent / "params.json", {**p.TrainView(**kept).model_dump(mode="json"), "seed": 0})
    return path.parent


def judged(folder, rows):
    """What the conventions make of the files in `folder` against the masks of a frame table."""
    tally, clips = measured.MaskTally(), list(dict.fromkeys(rows["clip"]))
    found = reading.look(folder, [(row.clip, str(row.frame)) for row in rows.itertuples()])
    reader = reading.Reader(reading.form_of(list(found.files.values())))
    for row in rows.itertuples():
        truth = np.asarray(Image.open(row.mask).convert("L")) > 0
        tally.add(clips.index(row.clip), reader.answer(found.files[row.clip, str(row.frame)], truth.shape), truth)
    m = tally.measured([measured.Clip(clip, clip, "", 1) for clip in clips])
    return {one.name: one.of(m).value() for one in conventions.MASKS}


def test_the_files_give_the_scores_again(tiny, score_view, tmp_path):
    view = score_view()
    folder = put_run(view, tiny)
    score_pack(view, (0,), tiny)
    rows = frame_table.select(tiny, ["v1s/test"])
    assert export.run(folder, "v1s", tmp_path / "ours") == len(rows)
    value = judged(tmp_path / "ours", rows)
    scores = pd.read_parquet(folder / "scores.parquet")
    scores = scores[(scores["selection"] == "v1s/test") & (scores["method"] == "gavs")]
    same = {"miou": "miou_clips1", "miou_04": "miou_gavs", "f_score": "f_clips1", "wrong_rate": "wrong"}
    expected = summary.dataset_values(scores, list(same)).set_index("metric")["value"]
    assert {one: value[other] for one, other in same.items()} == pytest.approx(expected.to_dict(), abs=1e-12)


def test_what_is_no_run_or_selection_is_said(tiny, score_view, tmp_path):
    with pytest.raises(InputError, match="not a trained run"):
        export.run(tmp_path / "nothing", "v1s", tmp_path / "ours")
    folder = put_run(score_view(), tiny)
    with pytest.raises(InputError, match="no frames in split 'night'"):
        export.run(folder, "v1s/night", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
