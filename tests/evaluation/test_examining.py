"""Examining runs from checkpoint to rows, on a tiny study with real files."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_study import SIDE, put_checkpoint

from soundprompt import models
from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.evaluation import alignment, examine, knowledge, predict, summary
from soundprompt.evaluation.examine import examine_pack
from soundprompt.evaluation.scores import COLUMNS
from soundprompt.features import frames
from soundprompt.features.frames import Frames
from soundprompt.files import read_json, write_json
from soundprompt.foundation import prompting, quality
from soundprompt.foundation import sam as sam_models
from soundprompt.training import checkpoint

CELL = 16  # pixels of a cell of F_V
FROZEN = {"tune_from": None}


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(quality, "PICTURES", 12)


@pytest.fixture
def view(score_view):
    def made(setting="v1s", measures=("alignment",), held_out=True, frames=400, **model) -> p.ExamineView:
        known = dict(score_view(setting, **model))
        scene = {"seed": 0, "scene": {"size": SIDE}}
        chosen = {name: known[name] for name in p.TrainView.model_fields}
        held = scene if held_out else None
        return p.ExamineView(**chosen, measures=measures, examined_frames=frames, held_out=held)

    return made


def put(view, model, layout, seed=0):
    """A model's weights where training would have left them."""
    path = layout.run(view.setting_name, "gavs", seed) / "checkpoint.safetensors"
    digest = checkpoint.save(model.trained_parameters(), path, {})
    write_json(layout.trained(view.setting_name, "gavs", str(seed)), {"runs": {str(seed): {"checkpoint": digest}}})


def build(view, layout, seed=0):
    return models.build(view.model, sam_models.load(layout.foundation("sam")), seed).eval()


def examined(layout, setting="v1s", seed=0):
    return pd.read_parquet(layout.run(setting, "gavs", seed) / "examined.parquet")


def values(rows, metric, selection="v1s/test"):
    rows = rows[(rows["metric"] == metric) & (rows["selection"] == selection)]
    return rows.set_index(["clip", "frame"])["value"].to_dict()


def by_hand(view, layout, model):
    """(clip, frame) -> mean F_V over each object, which of them sound, whole picture, sound; one cell at a time."""
    sam = sam_models.load(layout.foundation("sam"))
    rows = frame_table.select(layout, ["v1s/test"])
    frames = Frames(rows, layout, view.model.visual.tune_from, sam)
    found = {}
    for i, row in enumerate(rows.itertuples()):
        batch = frames.batch([i])
        with torch.no_grad():
            visual = batch.visual.permute(0, 2, 3, 1) if model.encoder is None else model.encoder(batch.visual)
        objects, mask = np.asarray(Image.open(row.objects)), np.asarray(Image.open(row.mask).convert("L")) > 0
        looks, sounding = [], []
        for number in sorted(set(objects.ravel().tolist()) - {0}):
            here, total, weight = objects == number, 0, 0
            for y in range(0, row.height, CELL):
                for x in range(0, row.width, CELL):
                    pixels = int(here[y : y + CELL, x : x + CELL].sum())
                    total, weight = total + pixels * visual[0, y // CELL, x // CELL], weight + pixels
            looks.append(total / weight)
            sounding.append(bool(mask[here].mean() > 0.5))
        cells = visual[0][batch.valid[0]].mean(0)
        found[row.clip, row.frame] = (torch.stack(looks), sounding, cells, batch.audio[0])
    return found


def cosine(one, other):
    return torch.nn.functional.cosine_similarity(one, other, dim=-1)


def test_a_cue_that_learnt_which_object_sounds_retrieves_it(tiny, view):
    """MLP_v is fitted to the sounding objects of the tiny study, away from the silent ones."""
    chosen = view(visual=FROZEN, sap={"hidden": 128})
    model = build(chosen, tiny)
    seen = {key: facts for key, facts in by_hand(chosen, tiny, model).items() if any(facts[1]) and not all(facts[1])}
    put(chosen, model, tiny)
    examine_pack(chosen, (0,), tiny)
    before = values(examined(tiny), "retrieval")
    optimiser = torch.optim.Adam(model.sap.cue.parameters(), 3e-3)
    for _ in range(200):
        losses = [
            torch.where(torch.tensor(sounding), -1.0, 1.0) @ cosine(model.sap.cue(looks), sound)
            for looks, sounding, _, sound in seen.values()
        ]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
    put(chosen, model, tiny)
    examine_pack(chosen, (0,), tiny)
    after, chance = values(examined(tiny), "retrieval"), values(examined(tiny), "retrieval_chance")
    assert set(after) == set(chance) == set(seen) and len(seen) >= 8
    assert chance == {key: np.mean(facts[1]) for key, facts in seen.items()}
    assert np.mean(list(after.values())) == 1 > np.mean(list(before.values()))


@pytest.mark.parametrize("visual", [FROZEN, {}])
def test_alignment_equals_the_plain_path(tiny, view, visual):
    chosen = view(visual=visual, triplet={"margin": 0.0})
    model = build(chosen, tiny)
    put(chosen, model, tiny)
    examine_pack(chosen, (0,), tiny)
    rows, facts = examined(tiny), by_hand(chosen, tiny, model)
    assert list(rows.columns) == COLUMNS and set(rows["method"]) == {"gavs"}
    retrieval = values(rows, "retrieval")
    with torch.no_grad():
        for key, (looks, sounding, _, sound) in facts.items():
            if key in retrieval:
                assert retrieval[key] == float(sounding[int(cosine(model.sap.cue(looks), sound).argmax())])
        cues = torch.stack([model.sap.cue(cells) for _, _, cells, _ in facts.values()])
    sounds = torch.stack([sound for _, _, _, sound in facts.values()])
    other = predict.partners(frame_table.select(tiny, ["v1s/test"]))
    places = {key: place for place, key in enumerate(facts)}
    kept = {
        (clip, frame): float(cosine(sounds[i], cues[i]) >= cosine(sounds[i], cues[places[other[clip], frame]]))
        for (clip, frame), i in places.items()
    }
    assert values(rows, "margin_kept") == kept and 0 < np.mean(list(kept.values())) < 1
    means = [torch.nn.functional.normalize(each, dim=1).mean(0) for each in (sounds, cues)]
    gap = summary.contributions(rows, "modality_gap").values()[0]
    assert gap == pytest.approx(float((means[0] - means[1]).norm()), abs=1e-4)


def test_answers_stand_in_the_order_of_the_frames(tiny, view):
    """Frames without a mask go into batches of their own, here the first one."""
    chosen = view(visual=FROZEN)
    rows = frame_table.select(tiny, ["v1s/test"])
    rows.loc[0, "mask"] = None
    frames = Frames(rows, tiny, None, sam_models.load(tiny.foundation("sam")))
    found = alignment.compare({0: build(chosen, tiny)}, frames, "cpu")[0]
    assert np.allclose(found.sound, torch.nn.functional.normalize(frames.audio, dim=1).numpy(), atol=1e-6)
    assert np.isnan(found.retrieval[0])


def test_a_frame_without_something_silent_and_something_that_sounds_is_not_asked_about(tiny, view):
    rows = frame_table.select(tiny, ["v1s/test"])
    last = next(row for row in rows.itertuples() if row.frame == 2)  # nothing sounds in it
    mask = torch.zeros(last.height, last.width, dtype=torch.bool)
    assert alignment.regions(last, mask) is None
    assert alignment.regions(last, ~mask) is None


def test_an_object_sounds_when_most_of_it_lies_in_the_mask(tmp_path):
    """Of four objects the third is hidden; the second is silent now, the last is only touched."""
    objects = np.zeros((10, 10), np.uint8)
    objects[0:2], objects[3:5], objects[6:8] = 1, 2, 4
    Image.fromarray(objects).save(tmp_path / "objects.png")
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[0:2, :6] = mask[6:8, :4] = True
    row = SimpleNamespace(objects=str(tmp_path / "objects.png"), height=10, width=10)
    maps, sounding = alignment.regions(row, mask)
    assert sounding.tolist() == [True, False, False]
    assert torch.equal(maps > 0, torch.stack([torch.from_numpy(objects == i) for i in (1, 2, 4)]))


def test_without_a_map_of_objects_the_mask_stands_against_the_rest(tiny):
    row = next(frame_table.select(tiny, ["v1s/test"]).assign(objects=None).itertuples())
    mask = torch.zeros(row.height, row.width, dtype=torch.bool)
    mask[:9, :9] = True
    maps, sounding = alignment.regions(row, mask)
    assert sounding.tolist() == [True, False]
    assert torch.equal(maps[0] > 0, mask) and torch.equal(maps[1] > 0, ~mask)


def test_equally_near_objects_are_worth_a_guess(tiny, view):
    chosen = view(visual=FROZEN)
    put_checkpoint(chosen, 0, tiny, "v1s", fill=0.0)  # every cue is the zero vector
    examine_pack(chosen, (0,), tiny)
    rows = examined(tiny)
    assert values(rows, "retrieval") == values(rows, "retrieval_chance")
    assert set(values(rows, "margin_kept").values()) == {0.0}


def test_the_margin_is_that_of_the_triplet():
    near, far = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    found = alignment.Compared(np.stack([near, near]), np.stack([near, far]), np.zeros(2), np.zeros(2))
    both, swapped = np.array([0, 1]), np.array([1, 0])
    assert alignment.kept(found, both, swapped, 0.39).tolist() == [1, 0]
    assert alignment.kept(found, both, swapped, 0.41).tolist() == [0, 0]


def test_few_frames_are_the_same_in_selections_that_overlap(tiny):
    rows = frame_table.select(tiny, ["v3/unseen", "v3/1_shot_test"])
    few = alignment.sample(rows, 7)
    assert few.groupby("selection").size().to_dict() == {"v3/unseen": 7, "v3/1_shot_test": 7}
    whole, part = (set(alignment.frame_names(few[few["selection"] == name])) for name in few["selection"].unique())
    clips = set(rows.loc[rows["selection"] == "v3/1_shot_test", "clip"])
    assert {name for name in whole if name.split("/")[1] in clips} <= part
    assert alignment.sample(rows, 1000).equals(rows)


def test_untouched_sam_knows_what_the_foundation_reports(tiny, view):
    """The same pictures and points, decoded by the code that measures the foundation."""
    chosen = view(measures=("knowledge",))
    put_checkpoint(chosen, 0, tiny, "v1s")
    examine_pack(chosen, (0,), tiny)
    sam = sam_models.load(tiny.foundation("sam"))
    asked = quality.held_out(chosen.held_out.scene, 0)
    masks = np.stack([each.mask for each in asked])
    with torch.no_grad():
        features = sam.prefix(sam.preprocess([each.picture.image for each in asked]), [None])[None]
        tokens = prompting.embed(sam.sam.prompt_encoder, prompting.collect([each.point for each in asked]))
        iou = quality._iou(sam, features, tokens, masks)
    found = values(examined(tiny), "knowledge_untouched", knowledge.HELD_OUT)
    assert list(found) == [(f"picture-{each.index:03d}", -1) for each in asked]
    assert list(found.values()) == pytest.approx(iou.tolist(), abs=0.01)  # a pixel may flip
    assert iou.max() > 0.02, "nothing drawn: the comparison would be empty"


@pytest.mark.parametrize("visual", [FROZEN, {"tune_from": 2, "zero_init": True}])
def test_a_decoder_that_nothing_changed_keeps_all(tiny, view, visual):
    chosen = view(measures=("knowledge",), visual=visual, cola={"zero_init": True})
    put_checkpoint(chosen, 0, tiny, "v1s")
    examine_pack(chosen, (0,), tiny)
    rows = examined(tiny)
    now, before = (values(rows, name, knowledge.HELD_OUT) for name in ("knowledge", "knowledge_untouched"))
    assert now == before and len(now) >= 8


def test_a_destroyed_decoder_has_lost_it(tiny, view):
    chosen = view(measures=("knowledge",), visual=FROZEN, decoder="full")
    put_checkpoint(chosen, 0, tiny, "v1s", fill=0.0)
    put_checkpoint(chosen, 1, tiny, "v1s", fill=0.0)
    examine_pack(chosen, (0, 1), tiny)
    for seed in (0, 1):
        rows = examined(tiny, seed=seed)
        assert set(values(rows, "knowledge", knowledge.HELD_OUT).values()) == {0.0}
        assert max(values(rows, "knowledge_untouched", knowledge.HELD_OUT).values()) > 0.02
    assert set(read_json(tiny.examined("v1s", "gavs", "0-1"))["runs"]) == {"0", "1"}


def test_without_held_out_pictures_the_test_frames_are_pointed_at(tiny, view, monkeypatch):
    points = []
    monkeypatch.setattr(
        prompting,
        "point",
        lambda rng, mask, own=prompting.point: points.append((own(rng, mask), mask)) or points[-1][0],
    )
    chosen = view("v3", measures=("knowledge",), held_out=False, cola={"zero_init": True}, visual={"zero_init": True})
    put_checkpoint(chosen, 0, tiny, "v3")
    examine_pack(chosen, (0,), tiny)
    rows = examined(tiny, "v3")
    assert set(rows["selection"]) == {"v3/unseen"}  # what the setting is about
    assert values(rows, "knowledge", "v3/unseen") == values(rows, "knowledge_untouched", "v3/unseen")
    assert len(points) == len(rows) / 2 >= 8
    for (xy, _), mask in points:
        assert mask[int(xy[0, 1]), int(xy[0, 0])]


def test_points_are_resized_with_their_pictures(tiny):
    sam = sam_models.load(tiny.foundation("sam"))
    point = (np.array([[20, 6], [0, 0]], np.float32), np.array([1, -1]))
    doubled = (np.array([[40, 12], [0, 0]], np.float32), np.array([1, -1]))
    small = knowledge._tokens(sam, [point], [(SIDE // 4, SIDE // 2)])
    assert torch.allclose(small, knowledge._tokens(sam, [doubled], [(SIDE // 2, SIDE)]))


def test_examining_again_keeps_what_is_there(tiny, view, float32_is_kept):
    chosen = view(visual=FROZEN)
    put_checkpoint(chosen, 0, tiny, "v1s")
    examine_pack(chosen, (0,), tiny)
    assert float32_is_kept()
    path = tiny.run("v1s", "gavs", 0) / examine.EXAMINED
    first, content = path.stat().st_mtime_ns, path.read_bytes()
    examine_pack(chosen, (0,), tiny)
    assert path.stat().st_mtime_ns == first
    path.write_bytes(content[:-10])
    examine_pack(chosen, (0,), tiny)
    assert path.read_bytes() == content
    examine_pack(view(visual=FROZEN, frames=5), (0,), tiny)
    assert len(values(examined(tiny), "modality_gap")) == 5


def test_what_is_measured_is_the_same_when_other_processes_read_ahead(tiny, view, monkeypatch):
    monkeypatch.setattr(frames, "IN_MEMORY", 0)
    chosen, found = view(measures=("alignment", "knowledge"), held_out=False), []
    put_checkpoint(chosen, 0, tiny, "v1s")
    for workers in (0, 3):
        (tiny.run("v1s", "gavs", 0) / examine.PROVENANCE).unlink(missing_ok=True)
        examine_pack(chosen, (0,), tiny, workers)
        found.append((tiny.run("v1s", "gavs", 0) / examine.EXAMINED).read_bytes())
    assert found[0] == found[1] and values(examined(tiny), "retrieval") and values(examined(tiny), "knowledge")


def test_boxes_have_no_retrieval_but_a_margin(tiny, view):
    chosen = view("vggss")
    put_checkpoint(chosen, 0, tiny, "v1s")
    examine_pack(chosen, (0,), tiny)
    assert set(examined(tiny, "vggss")["metric"]) == {"margin_kept", "modality_gap"}


def test_a_model_without_anything_to_measure_is_refused(tiny, view):
    with pytest.raises(InputError, match="neither cue and sound"):
        examine_pack(view(measures=()), (0,), tiny)


@pytest.mark.parametrize(
    ("measures", "what"), [(("alignment",), "visual cue is"), (("knowledge",), "logits for a point are")]
)
def test_a_model_whose_numbers_are_not_finite_is_named(tiny, view, measures, what):
    chosen = view(measures=measures)
    put_checkpoint(chosen, 0, tiny, "v1s", fill=3e38)
    with pytest.raises(InputError, match=rf"v1s/gavs seed 0: {what} not finite \((NaN|infinite)\); clips: \w+"):
        examine_pack(chosen, (0,), tiny)
    assert not tiny.examined("v1s", "gavs", "0").exists() and not list(tiny.runs.rglob("examined.*"))
