"""The frozen encoders run once per picture and sound, and what they made is kept exactly as long as it is true."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from soundprompt.data import frame_table, media
from soundprompt.errors import InputError
from soundprompt.features import background, extract, plan
from soundprompt.features.store import Store
from soundprompt.foundation import audio
from soundprompt.foundation import sam as foundation_sam
from soundprompt.params import Sam as SamSettings


def run_all(project, view=None) -> list[Path]:
    view = view or project.view
    plan.run(view, project.layout)
    for shard in range(view.features.shards):
        extract.run_shard(shard, view, project.layout)
    return [project.layout.visual_shard(shard) for shard in range(view.features.shards)]


def with_features(project, **changes):
    return project.view_with(features=project.view.features.model_copy(update=changes))


def age(paths: list[Path]) -> None:
    """Gives files a time long past, so that it shows which are written or marked as up to date."""
    for path in paths:
        os.utime(path, (1, 1))


def test_cached_features_equal_the_unsplit_encoder(project, float32_is_kept):
    run_all(project)
    assert float32_is_kept()
    sam = project.sam
    for place in plan.read(project.layout).itertuples():
        store = Store(project.layout.visual_shard(place.shard))
        assert store.rows[place.row] == place.image_digest
        encoder, pixels = sam.sam.image_encoder, sam.preprocess([media.read_image(place.image)])
        with torch.no_grad():
            whole = encoder(pixels)[0]
            tokens = store.read("block2", [place.image_digest]).float()
            for block in encoder.blocks[2:]:
                tokens = block(tokens)
            continued = encoder.neck(tokens.permute(0, 3, 1, 2))[0]
        cached = store.read("output", [place.image_digest])[0].float()
        assert (cached - whole).abs().max() <= whole.abs().max() * 2**-10  # fp16 keeps 11 bits
        assert (continued - whole).abs().max() <= 0.01 * whole.abs().max()


def test_float32_features_equal_the_unsplit_encoder_to_rounding(project):
    view = project.view_with(features=project.view.features.model_copy(update={"dtype": "float32"}))
    run_all(project, view)
    place = plan.read(project.layout).iloc[0]
    with torch.no_grad():
        whole = project.sam.sam.image_encoder(project.sam.preprocess([media.read_image(place["image"])]))
    cached = Store(project.layout.visual_shard(place["shard"])).read("output", [place["image_digest"]])
    torch.testing.assert_close(cached, whole, rtol=1e-4, atol=1e-5)


def test_whole_shards_are_kept_and_damaged_ones_alone_redone(project):
    paths = run_all(project)
    before = [path.read_bytes() for path in paths]
    bad = bytearray(before[1])
    bad[-1] ^= 1
    paths[1].write_bytes(bad)
    inode = os.stat(paths[0]).st_ino
    age(paths)
    run_all(project)
    assert os.stat(paths[0]).st_ino == inode, "a whole shard was written again"
    assert all(os.stat(path).st_mtime > 1 for path in paths), "a kept shard must look up to date to the workflow"
    assert [path.read_bytes() for path in paths] == before


def test_missing_and_cut_short_shards_are_redone(project):
    paths = run_all(project)
    before = [path.read_bytes() for path in paths]
    paths[0].unlink()
    paths[1].write_bytes(before[1][:-100])
    run_all(project)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("change", ["weights", "bgr", "dtype", "taps", "transform"])
def test_another_encoder_or_setting_makes_new_features(project, monkeypatch, change: str):
    paths = run_all(project)
    before, view = [path.read_bytes() for path in paths], project.view
    if change == "weights":
        project.remake_sam(1)
    elif change == "transform":
        monkeypatch.setitem(extract.TRANSFORMS, "visual", "another")
    elif change == "dtype":
        view = project.view_with(features=view.features.model_copy(update={"dtype": "float32"}))
    else:
        view = project.view_with(**{"bgr": {"bgr": True}, "taps": {"taps": (1, None)}}[change])
    run_all(project, view)
    assert all(path.read_bytes() != old for path, old in zip(paths, before, strict=True))


def test_pictures_are_prepared_as_the_recipe_says(project):
    """When this fails on purpose, change TRANSFORMS["visual"], so that older caches are refused."""
    image = np.random.default_rng(0).integers(0, 256, (72, 128, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(image).resize((64, 36), Image.Resampling.BILINEAR), np.float32)
    expected = np.zeros((3, 64, 64), np.float32)
    expected[:, :36] = ((small - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)).transpose(2, 0, 1)
    torch.testing.assert_close(project.sam.preprocess([image])[0], torch.from_numpy(expected), rtol=1e-4, atol=1e-4)


def test_bgr_features_are_those_of_the_swapped_picture(project):
    run_all(project, project.view_with(bgr=True))
    place = plan.read(project.layout).iloc[0]
    swapped = np.ascontiguousarray(media.read_image(place["image"])[..., ::-1])
    with torch.no_grad():
        expected = project.sam.sam.image_encoder(project.sam.preprocess([swapped]))
    cached = Store(project.layout.visual_shard(place["shard"])).read("output", [place["image_digest"]])
    assert (cached.float() - expected).abs().max() < 0.01 * expected.abs().max()


def test_a_new_picture_leaves_the_other_shard_alone(project):
    view = project.view_with(tables=("v2",))
    paths = run_all(project, view)
    planned = plan.pictures(project.view.tables, 2, project.layout)
    fewer = plan.pictures(("v2",), 2, project.layout)
    untouched = [s for s in (0, 1) if (planned["shard"] == s).sum() == (fewer["shard"] == s).sum()]
    inodes = [os.stat(path).st_ino for path in paths]
    run_all(project)
    for shard in (0, 1):
        assert (os.stat(paths[shard]).st_ino == inodes[shard]) == (shard in untouched)


def test_more_shards_than_pictures(project):
    view = project.view_with(features=project.view.features.model_copy(update={"shards": 12}))
    run_all(project, view)
    assert sum(len(Store(project.layout.visual_shard(shard)).rows) for shard in range(12)) == 9


def test_a_picture_that_changed_since_the_plan_is_named(project):
    plan.run(project.view, project.layout)
    place = plan.read(project.layout).iloc[0]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(place["image"])
    with pytest.raises(InputError, match="changed since the frame tables were made") as caught:
        extract.run_shard(int(place["shard"]), project.view, project.layout)
    assert caught.value.path == place["image"]
    assert not project.layout.visual_shard(int(place["shard"])).exists()


def test_activations_beyond_float16_are_refused(project):
    model = foundation_sam.build("mini", 64)
    with torch.no_grad():
        model.image_encoder.patch_embed.proj.weight.mul_(1e7)
    foundation_sam.save(model, SamSettings(image_size=64), project.layout.foundation("sam"))
    with pytest.raises(
        InputError, match=r"its activations at block2, as float16, are not finite \(infinite\)"
    ) as caught:
        run_all(project)
    assert "float32" in caught.value.remedy


def test_the_number_of_threads_changes_no_byte(project):
    paths = run_all(project)
    before = [path.read_bytes() for path in paths]
    for threads in (1, 2, 4):
        for shard, path in enumerate(paths):
            path.unlink()
            extract.run_shard(shard, project.view, project.layout, threads)
        assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_unreadable_picture_is_named_whoever_reads_it(project, threads: int):
    """Also behind the first batch, when others are being read and written."""
    view = with_features(project, shards=1, batch_size=2)
    plan.run(view, project.layout)
    for place in plan.read(project.layout).iloc[[5, 7]].itertuples():
        Path(place.image).write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        extract.run_shard(0, view, project.layout, threads)
    assert caught.value.path == plan.read(project.layout)["image"].iloc[5]
    folder = project.layout.visual_shard(0).parent
    assert [path.name for path in folder.iterdir() if "plan" not in path.name] == []


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("float16", 0.001)])
def test_another_precision_is_near_float32_and_its_shards_say_how_near(project, precision: str, most: float):
    exact = {}
    for path in run_all(project, with_features(project, dtype="float32", shards=1)):
        exact = {name: Store(path).read(name, Store(path).rows).double() for name in Store(path).names}
    (path,) = run_all(project, with_features(project, shards=1, precision=precision))
    store = Store(path)
    assert store.recipe["precision"] == precision and store.notes["in_float32"] == []
    assert store.notes["pictures"] == 4
    for name, whole in exact.items():
        apart = (store.read(name, store.rows).double() - whole)[:4].norm() / whole[:4].norm()
        assert 1e-5 < apart < most
        assert float(store.notes["relative_l2"][name]) == pytest.approx(float(apart), rel=0.06)


def test_another_precision_makes_other_shards(project):
    (path,) = run_all(project, with_features(project, shards=1))
    before = path.read_bytes()
    assert Store(path).notes is None and "precision" not in Store(path).recipe
    run_all(project, with_features(project, shards=1, precision="bfloat16"))
    assert path.read_bytes() != before
    run_all(project, with_features(project, shards=1))
    assert path.read_bytes() == before


def test_a_picture_that_float16_cannot_hold_is_encoded_in_float32(project):
    """An MLP with its hidden layer a million times too large and its last as much too small: beyond float16 alone."""
    model = project.sam.sam
    with torch.no_grad():
        for layer in (model.image_encoder.blocks[0].mlp.lin1, model.image_encoder.blocks[0].mlp.lin2):
            layer.bias.zero_()
        model.image_encoder.blocks[0].mlp.lin1.weight.mul_(1e6)
        model.image_encoder.blocks[0].mlp.lin2.weight.mul_(1e-6)
    foundation_sam.save(model, SamSettings(image_size=64), project.layout.foundation("sam"))
    (path,) = run_all(project, with_features(project, shards=1))
    exact = Store(path).read("output", Store(path).rows)
    (path,) = run_all(project, with_features(project, shards=1, precision="float16"))
    store = Store(path)
    assert store.notes["in_float32"] == store.rows
    torch.testing.assert_close(store.read("output", store.rows), exact, rtol=1e-3, atol=1e-3)


def test_each_second_of_each_sound_is_encoded_once(project):
    extract.run_audio(project.view, project.layout)
    store = Store(project.layout.audio_features)
    encoder = audio.load(project.layout.foundation("audio"))
    rows = frame_table.read(project.layout.table("v2"))
    for sound, digest in rows[["audio", "audio_digest"]].drop_duplicates().itertuples(index=False):
        expected = encoder.embed(encoder.examples(media.read_audio(sound)))
        cached = store.read("embedding", [f"{digest}/{second}" for second in range(len(expected))])
        assert len(expected) == 3 and cached.dtype == torch.float32
        torch.testing.assert_close(cached, expected, rtol=1e-4, atol=1e-5)
    assert len(store.rows) == 9 + len(background.ROWS)
    assert tuple(store.rows[9:]) == background.ROWS, "and behind them what belongs to no clip"


def test_sounds_are_kept_until_something_changes(project, monkeypatch):
    path = project.layout.audio_features
    extract.run_audio(project.view, project.layout)
    before, inode = path.read_bytes(), os.stat(path).st_ino
    age([path])
    extract.run_audio(project.view, project.layout)
    assert os.stat(path).st_ino == inode and os.stat(path).st_mtime > 1
    path.write_bytes(before[:-1])
    extract.run_audio(project.view, project.layout)
    assert path.read_bytes() == before
    extract.run_audio(project.view_with(tables=("v2",)), project.layout)
    assert len(Store(path).rows) == 6 + len(background.ROWS)
    monkeypatch.setattr(background, "RECIPE", {**background.RECIPE, "seed": 0})
    age([path])
    inode = os.stat(path).st_ino
    extract.run_audio(project.view_with(tables=("v2",)), project.layout)
    assert os.stat(path).st_ino != inode, "other noise by the same name was kept"


def test_a_sound_that_changed_is_named(project):
    sound = Path("data/tiny/v2/square/audio.wav")
    sound.write_bytes(sound.read_bytes()[:-2] + b"zz")
    with pytest.raises(InputError, match="changed since the frame tables were made") as caught:
        extract.run_audio(project.view, project.layout)
    assert Path(caught.value.path) == sound
