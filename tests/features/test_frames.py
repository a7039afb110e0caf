"""A batch holds, for each frame, its own features, second of sound, mask and target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from soundprompt.data import frame_table, media
from soundprompt.errors import InputError
from soundprompt.features import extract, frames, plan
from soundprompt.features.frames import Frames
from soundprompt.foundation import audio
from soundprompt.layout import Layout


@pytest.fixture
def cached(project):
    """The tiny project with its cache."""
    plan.run(project.view, project.layout)
    for shard in range(2):
        extract.run_shard(shard, project.view, project.layout)
    extract.run_audio(project.view, project.layout)
    return project


def frames_of(project, *selections: str, tap: int | None = None, **options) -> Frames:
    rows = frame_table.select(project.layout, selections or ["v2/train"])
    return Frames(rows, project.layout, tap, project.sam, **options)


@pytest.fixture(params=["in memory", "from disk"])
def either(request, monkeypatch):
    """Both ways of keeping features and labels."""
    if request.param == "from disk":
        monkeypatch.setattr(frames, "IN_MEMORY", 0)


@pytest.mark.parametrize(("tap", "shape"), [(None, (128, 4, 4)), (2, (4, 4, 128))])
def test_features_are_those_of_each_frame(cached, either, tap, shape):
    data, sam = frames_of(cached, tap=tap), cached.sam
    batch = data.batch([4, 0, 4])
    assert batch.visual.shape == (3, *shape) and batch.visual.dtype == torch.float32
    pixels = sam.preprocess([media.read_image(data.rows["image"][i]) for i in (4, 0, 4)])
    expected = sam.prefix(pixels, [tap])[tap]
    assert (batch.visual - expected).abs().max() <= 2**-9 * expected.abs().max()


def test_features_in_memory_go_through_a_frozen_front_once(cached, monkeypatch):
    seen = []

    def front(x):
        seen.append(len(x))
        return torch.cat([x, -x], -1)

    monkeypatch.setattr(frames, "AT_ONCE", 4)
    data = frames_of(cached, tap=2, front=front)
    plain = frames_of(cached, tap=2).batch([4, 0, 4]).visual
    for _ in range(2):
        assert torch.equal(data.batch([4, 0, 4]).visual, torch.cat([plain, -plain], -1))
    assert sum(seen) == len(set(data.rows["image_digest"])) and max(seen) == 4


def test_features_that_are_not_kept_stay_as_they_are(cached, monkeypatch):
    plain = frames_of(cached, tap=2).batch([0]).visual
    monkeypatch.setattr(frames, "IN_MEMORY", plain.nbytes * 6)  # the features (float16) fit, twice as many do not
    data = frames_of(cached, tap=2, front=lambda x: torch.cat([x, x], -1))
    assert torch.equal(data.batch([0]).visual, plain)
    monkeypatch.setattr(frames, "IN_MEMORY", 0)
    data = frames_of(cached, tap=2, front=lambda x: torch.cat([x, x], -1))
    assert torch.equal(data.batch([0]).visual, plain)


def test_each_frame_gets_its_own_second_of_sound(cached):
    data = frames_of(cached)
    encoder = audio.load(cached.layout.foundation("audio"))
    batch = data.batch(range(len(data)))
    assert batch.audio.dtype == torch.float32
    for i, row in enumerate(data.rows.itertuples()):
        seconds = encoder.embed(encoder.examples(media.read_audio(row.audio)))
        differences = (batch.audio[i] - seconds).abs().amax(1)
        assert differences[row.second] < 1e-6
        assert sorted(differences)[1] > 1e-3, "the seconds are too alike to tell"


def test_a_copy_in_v3_shares_the_features_of_v2(cached):
    original, copy = frames_of(cached, "v2/train").batch([0, 1, 2]), frames_of(cached, "v3/unseen").batch([0, 1, 2])
    assert copy.clips == ["square"] * 3
    assert torch.equal(original.visual, copy.visual) and torch.equal(original.audio, copy.audio)
    assert torch.equal(original.targets, copy.targets)


def test_masks_and_names_are_those_of_each_frame(cached, either):
    data = frames_of(cached)
    batch = data.batch([5, 1])
    assert batch.sizes == [(36, 64), (64, 64)]
    assert (batch.clips, batch.videos) == (["wide", "square"], ["video-wide", "video-square"])
    assert batch.classes == ["class-wide", "class-square"]
    assert [tuple(mask.shape) for mask in batch.masks] == batch.sizes
    for mask, path in zip(batch.masks, data.rows["mask"][[5, 1]], strict=True):
        assert mask.dtype == torch.bool and np.array_equal(mask.numpy(), np.asarray(Image.open(path)) > 0)
    assert len(batch.masks) == 2 and torch.equal(batch.masks[-1], batch.masks[1]) and len(batch.masks[:1]) == 1


def test_targets_are_the_mean_of_the_mask_in_each_cell(cached, either):
    batch = frames_of(cached).batch([0, 1])
    expected = torch.stack([F.avg_pool2d(mask.float()[None], 2) for mask in batch.masks])  # 64 pixels on 32 cells
    assert batch.targets.shape == (2, 1, 32, 32)
    torch.testing.assert_close(batch.targets, expected)
    assert batch.valid.all() and batch.target_valid.all()


def test_padding_of_a_wide_frame_is_neither_valid_nor_target(cached, either):
    batch = frames_of(cached).batch([3])
    mask = batch.masks[0].float()[None]
    assert batch.sizes == [(36, 64)]
    torch.testing.assert_close(batch.targets[0, :, :18], F.avg_pool2d(mask, 2))
    assert not batch.targets[0, :, 18:].any()
    assert batch.target_valid[0, 0, :18].all() and not batch.target_valid[0, 0, 18:].any()
    assert torch.equal(batch.valid, cached.sam.valid_cells([(36, 64)]))
    assert batch.valid[0, :2].all() and not batch.valid[0, 2:].any()  # 36 of 64 rows: 2.25 of 4 cells


@pytest.mark.parametrize("size", [(50, 37), (224, 224), (33, 100), (7, 64)])
def test_targets_of_any_size_keep_the_area(cached, size):
    grid = frames._Grid(size, cached.sam)
    mask = torch.from_numpy(np.random.default_rng(0).random(size) < 0.4)
    target = grid.average(mask)
    covered = torch.from_numpy(grid.average(torch.ones(size, dtype=torch.bool)).numpy())
    height, width = cached.sam.resized(size)
    # each cell's mean, weighted by the part of the cell that lies in the frame, adds up to the mask
    rows = (torch.tensor(height) - 2 * torch.arange(32)).clamp(0, 2) / 2
    columns = (torch.tensor(width) - 2 * torch.arange(32)).clamp(0, 2) / 2
    share = (target * rows[:, None] * columns).sum() / (rows.sum() * columns.sum())
    assert share.item() == pytest.approx(mask.float().mean().item(), abs=1e-5)
    assert torch.equal(covered > 0, (rows[:, None] * columns) > 0) and covered.max() <= 1
    assert grid.valid.any() and not grid.valid[covered == 0].any()


def test_frames_without_a_mask_are_never_supervised(cached):
    data = frames_of(cached, "v1s/train")
    assert data.supervised.tolist() == [0]
    unlabelled = data.batch([1, 2])
    assert unlabelled.masks is None and unlabelled.targets is None
    with pytest.raises(ValueError, match=r"Frames\.supervised"):
        data.batch([0, 1])


def test_repeat_gives_a_clip_the_mask_of_its_first_frame(cached):
    data = frames_of(cached, "v1s/train", supervision="repeat")
    batch = data.batch([0, 2])
    assert data.supervised.tolist() == [0, 1, 2]
    assert torch.equal(batch.masks[0], batch.masks[1]) and torch.equal(batch.targets[0], batch.targets[1])


def test_targets_are_computed_once_and_only_if_asked_for(cached, monkeypatch):
    data = frames_of(cached)
    first = data.batch([0, 1]).targets
    monkeypatch.setattr(frames._Grid, "average", None)
    assert torch.equal(data.batch([0, 1]).targets, first) and torch.equal(data.batch([1]).targets[0], first[1])
    assert data.complete(data.read([2]), targets=False).targets is None


def test_no_picture_of_a_mask_is_opened(cached, either):
    expected = [np.asarray(Image.open(path)) > 0 for path in frames_of(cached).rows["mask"]]
    for path in frames_of(cached).rows["mask"]:
        Path(path).unlink()
    data = frames_of(cached)
    for masks in (data.batch(range(6)).masks, list(data.masks(range(6)))):
        assert all(np.array_equal(mask.numpy(), truth) for mask, truth in zip(masks, expected, strict=True))


def test_packed_masks_that_do_not_fit_their_table_are_named(cached):
    """A table of another study's making, say; whether they are whole their record knows."""
    path, rows = cached.layout.masks("v2"), frame_table.select(cached.layout, ["v2/train"])
    wrong = {"is 64x64 pixels, its frame 64x65": {"height": 65}, "not there": {"mask_digest": "0" * 64}}
    for message, changed in wrong.items():
        with pytest.raises(InputError, match=message) as caught:
            Frames(rows.assign(**changed), cached.layout, None, cached.sam).batch([0])
        assert caught.value.path == path and "soundprompt tables" in caught.value.remedy
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        Frames(rows, cached.layout, None, cached.sam)
    path.unlink()
    with pytest.raises(InputError, match="packed masks are missing"):
        Frames(rows, cached.layout, None, cached.sam)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_batches_are_the_same_however_many_processes_read_them(cached, monkeypatch, workers):
    monkeypatch.setattr(frames, "IN_MEMORY", 0)
    data, asked = frames_of(cached, tap=2, workers=workers), [[3], [0, 1], [5, 4, 3], [2]]
    assert data.workers == workers
    for batch, indices in zip(data.batches(asked, targets=True), asked, strict=True):
        alone = frames_of(cached, tap=2).batch(indices)
        assert torch.equal(batch.visual, alone.visual) and torch.equal(batch.targets, alone.targets)
        assert all(torch.equal(*pair) for pair in zip(batch.masks, alone.masks, strict=True))
        assert torch.equal(batch.audio, alone.audio) and batch.clips == alone.clips
    assert data._visual._stores[0]._known_good["block2"].any(), "what a process has checked, all know"


def test_what_lies_in_memory_needs_no_processes(cached):
    assert frames_of(cached, workers=4).workers == 0


@pytest.mark.parametrize("how", ["weights", "bgr", "tap"])
def test_a_cache_made_otherwise_is_refused(cached, how: str):
    if how == "weights":
        cached.remake_sam(1)
    with pytest.raises(InputError, match="holds no 'block1'" if how == "tap" else "made by another encoder"):
        frames_of(cached, tap=1 if how == "tap" else None, bgr=how == "bgr")


def test_an_altered_shard_is_noticed_on_reading(cached, either):
    rows = frame_table.select(cached.layout, ["v2/train"])
    for shard in range(2):
        path = cached.layout.visual_shard(shard)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    taps = [2, None]
    with pytest.raises(InputError, match="is altered"):
        for tap in taps:
            Frames(rows, cached.layout, tap, cached.sam).batch(range(6))


def test_what_the_cache_lacks_is_named(cached):
    rows = frame_table.select(cached.layout, ["v2/train"])
    with pytest.raises(InputError, match="second 7 of it is not among the cached sounds") as caught:
        Frames(rows.assign(second=7), cached.layout, None, cached.sam)
    assert caught.value.path == rows["audio"][0]
    with pytest.raises(InputError, match="lacks 1 of 1 pictures"):
        Frames(rows.assign(image_digest="0" * 64), cached.layout, None, cached.sam)
    with pytest.raises(InputError, match="missing"):
        Frames(rows, Layout("elsewhere"), None, cached.sam)


def test_a_batch_moves_as_a_whole(cached):
    batch = frames_of(cached).batch([0, 3])
    data = frames_of(cached)
    for moved in (batch.to("meta"), data.complete(data.read([0, 3]), "meta")):
        assert {moved.visual.device.type, moved.targets.device.type, moved.masks[0].device.type} == {"meta"}
        assert moved.sizes == batch.sizes and [mask.shape for mask in moved.masks] == [(64, 64), (36, 64)]
    assert frames_of(cached, "v1s/train").batch([1]).to("meta").targets is None
