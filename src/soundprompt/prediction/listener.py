"""A trained model with its encoders, ready to say what sounds in pictures: behind `soundprompt.load` and `predict`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundprompt import devices, finite, models
from soundprompt.errors import InputError
from soundprompt.features import extract
from soundprompt.features.frames import Batch
from soundprompt.files import digest_value
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import encoders
from soundprompt.prediction import given, runs
from soundprompt.prediction.given import Frames, Sound
from soundprompt.prediction.runs import TrainedRun
from soundprompt.training import checkpoint

TOGETHER = 8  # pictures asked about at once, at most
WINDOW = 5  # pictures that a model looks across, if it does: the seconds of most clips it was trained on


def load(place: Path | str, device: str | None = None) -> Listener:
    """See `soundprompt.load`."""
    return Listener(runs.opened(place), device)


class Listener:
    """A trained model with the frozen encoders it was trained on.

    run: where it comes from; run.view holds its settings. device: 'cpu' or 'cuda'; the GPU where there is one.
    together: how many pictures it is asked about at once. Raises InputError when the encoders are missing, damaged, or
    not the ones it was trained on.
    """

    def __init__(self, run: TrainedRun, device: str | None = None):
        if device not in (None, "cpu", "cuda"):
            raise InputError(f"device: '{device}' is not one of cpu, cuda", remedy="leave it out: the GPU, if any")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("device: no CUDA GPU can be used here", remedy="leave it out to use the CPU")
        device = device or devices.best()
        devices.keep_float32()
        self.run, self.device = run, torch.device(device)
        self.encoder = encoders.load_file(run.weights(run.view.model.reads), run.view.model).to(self.device)
        self.audio = audio_models.load(run.weights("audio")).to(self.device)
        self.model = models.build(run.view.model, self.encoder, run.seed).to(self.device).eval()
        facts = checkpoint.load_into(self.model, run.checkpoint, run.expected)
        self._check_encoders(facts.get(run.view.model.reads))
        most = WINDOW if self.model.temporal else TOGETHER
        self.together = max(1, min(most, 2**14 // self.encoder.grid**2))  # 4 pictures at 1024 pixels

    def __repr__(self) -> str:
        return f"<{self.run.view.model_name} of {self.run} on {self.device}>"

    def _check_encoders(self, visual: str | None) -> None:
        """visual: digest of the image encoder that the checkpoint belongs to. A run without provenance says nothing
        of its sound."""
        inputs = self.run.origin.get("inputs", {})
        recipe = extract.audio_recipe(self.audio)
        for name, trained_on, here in (
            (self.run.view.model.reads, visual, self.encoder.digest),
            ("audio", inputs.get("audio features"), digest_value(recipe)),
        ):
            if trained_on not in (None, here):
                path, remedy = self.run.weights(name), "train the model again, or bring back the weights"
                raise InputError(f"not the weights that {self.run.folder} was trained on", path=path, remedy=remedy)

    # ------------------------------------------------------------------------------ for other people's code
    def segment(self, frames: Frames, sound: Sound, rate: float, fps: float = 1.0) -> np.ndarray:
        """What sounds in each frame: probabilities (T, H, W), float32 in 0 to 1; above 0.5 a pixel counts as sounding.

        frames: T pictures of one size in the order of time: numpy (T, H, W, 3), torch (T, 3, H, W), or a sequence of
        such pictures or of PIL's; RGB, uint8, or floats in 0 to 1. A frame that stands for a whole second is best
        taken 15/16 into it, as in AVSBench.
        sound: (n,) samples from the first frame on; two axes are mixed, the shorter one being the channels. Floats in
        -1 to 1, or integers of their type's range. Where it ends silence is heard.
        rate: samples a second. fps: frames a second; all frames of a second hear the 0.975 s from its beginning, since
        the model learnt from pairs of a frame and its second.

        A model that looks across time takes each 5 neighbouring frames for one clip. Memory grows with T only by what
        is returned; for films without end see `stream`. Raises InputError for input of another form.
        """
        pictures, wave = given.pictures(frames), given.sound(sound)
        given.check_rate("rate", rate)
        given.check_rate("fps", fps)
        seconds = [math.floor(number / fps + 1e-6) for number in range(len(pictures))]
        heard = [given.window(wave[round(second * rate) :], rate) for second in range(seconds[-1] + 1)]
        return self._segmented(pictures, self.embed(heard)[seconds])

    def stream(self, rate: float) -> Stream:
        """For films that are still running: takes one second after another. rate: samples of its sound a second."""
        given.check_rate("rate", rate)
        return Stream(self, rate)

    def _segmented(self, pictures: Sequence[np.ndarray], audio: Tensor) -> np.ndarray:
        found = np.empty((len(pictures), *pictures[0].shape[:2]), np.float32)
        for begin in range(0, len(pictures), self.together):
            some = slice(begin, begin + self.together)
            for number, one in enumerate(self.probabilities(pictures[some], audio[some]), begin):
                found[number] = one.cpu().numpy()
        return found

    # ------------------------------------------------------------------------------------------- step by step
    def embed(self, sounds: Sequence[np.ndarray]) -> Tensor:
        """sounds: (15600,) float32 at 16 kHz each, of `given.window`. Returns (B, 128), as `Batch.audio`."""
        return self.audio.embed(torch.cat([self.audio.examples(sound) for sound in sounds])).to(self.device)

    @torch.inference_mode()
    def logits(self, pictures: Sequence[np.ndarray], audio: Tensor) -> Tensor:
        """pictures: (H, W, 3) uint8 RGB each; audio: (B, 128) of `embed`. Returns (B, 1, n, n) on the encoder's square.
        A model that looks across time takes them for one clip."""
        sizes = [picture.shape[:2] for picture in pictures]
        tap, cells = self.model.tap, self.encoder.cells
        pixels = self.encoder.preprocess(pictures, bgr=self.run.view.data.bgr)
        batch = Batch(
            visual=pixels if tap == "pixels" else self.encoder.prefix(pixels, [tap])[tap].float(),
            audio=audio,
            valid=self.encoder.valid_cells(sizes).to(self.device),
            sizes=sizes,
            masks=None,
            targets=None,
            target_valid=torch.zeros((len(sizes), 1, cells, cells), dtype=torch.bool),  # for training only
            clips=[],
            videos=[],
            classes=[],
            group=torch.zeros(len(sizes), dtype=torch.int64, device=self.device),
        )
        logits = self.model(batch).logits.float()
        finite.check(logits, "its logits are", path=self.run.folder, remedy="train it again")
        return logits

    @torch.inference_mode()
    def probabilities(self, pictures: Sequence[np.ndarray], audio: Tensor) -> Iterator[Tensor]:
        """As `logits`, at most `together` of them; gives probabilities (H, W) at each picture's own size."""
        logits = self.logits(pictures, audio)
        for one, picture in zip(logits, pictures, strict=True):  # a large picture's probabilities one at a time
            yield torch.sigmoid(self.encoder.restore(one[None], [picture.shape[:2]])[0])


class Stream:
    """A film that is still running, one second at a time: `for frames, sound in film: masks = stream(frames, sound)`.

    second: how many have passed. A second's masks are those that `Listener.segment` makes of it in a whole film; a
    model that looks across time sees no further than the second.
    """

    def __init__(self, listener: Listener, rate: float):
        self.listener, self.rate, self.second = listener, rate, 0

    def __call__(self, frames: Frames, sound: Sound) -> np.ndarray:
        """frames: those of the second, however many; sound: its samples, at most `rate`. Both as in `Listener.segment`.

        Returns probabilities (frames, H, W). Raises InputError for input of another form.
        """
        pictures, wave = given.pictures(frames), given.sound(sound)
        if len(wave) > math.ceil(self.rate):
            what = f"sound: {len(wave)} samples are more than a second at {self.rate:g} a second"
            raise InputError(what, remedy="give one second at a time, or the whole film to segment()")
        audio = self.listener.embed([given.window(wave, self.rate)])
        self.second += 1
        return self.listener._segmented(pictures, audio.expand(len(pictures), -1))
