"""Sound encoders behind one interface: a small one of VGGish's shape, and VGGish itself."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from soundprompt import params, provenance, records, tensorfile
from soundprompt.errors import InputError
from soundprompt.files import canonical_json, digest_file
from soundprompt.foundation import weights
from soundprompt.foundation.packages import submodule
from soundprompt.foundation.sam import count_parameters
from soundprompt.layout import Layout

mel_features, vggish_params, vggish = (
    submodule("torchvggish", name) for name in ("mel_features", "vggish_params", "torchvggish")
)

RATE = vggish_params.SAMPLE_RATE  # Hz
WINDOW_SAMPLES, HOP_SAMPLES = 400, 160  # 25 ms, 10 ms
EXAMPLE_SAMPLES = 15600  # what 96 frames of 25 ms, 10 ms apart, span: 0.975 s
EMBEDDING = vggish_params.EMBEDDING_SIZE
CONVOLUTIONS = ((1, 16), (16, 32), (32, 64), (64, 64), (64, 96), (96, 96))
POOL_AFTER = (0, 1, 3, 5)  # convolutions that a halving of both axes follows: 96 x 64 becomes 6 x 4
HIDDEN = 256


class MiniVggish(nn.Module):
    """VGGish's layout at a fraction of its width: 0.82 M parameters, (N, 1, 96, 64) log-mel to (N, 128).

    Against VGGish: narrower, batch normalisation behind each convolution, one hidden layer of 256 instead of two
    of 4096, and no ReLU behind the last layer.
    """

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for number, (taken, given) in enumerate(CONVOLUTIONS):
            layers += [nn.Conv2d(taken, given, 3, padding=1), nn.BatchNorm2d(given), nn.ReLU(inplace=True)]
            if number in POOL_AFTER:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = CONVOLUTIONS[-1][1] * 6 * 4
        self.embeddings = nn.Sequential(nn.Linear(flat, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, EMBEDDING))

    def forward(self, examples: Tensor) -> Tensor:
        # Log-mels run from about -4.6 (silence) to 2; the shift and scale bring them near mean 0 and sd 1.
        return self.embeddings(self.features((examples + 2) / 2).flatten(1))

    @torch.no_grad()
    def standardise(self, mean: Tensor, spread: Tensor) -> None:
        """Folds `(y - mean) / spread` of the output, both (128,), into the last layer, in place."""
        last = self.embeddings[-1]
        last.weight.div_(spread[:, None])
        last.bias.sub_(mean).div_(spread)


class Vggish(nn.Module):
    """torchvggish's VGGish, (N, 1, 96, 64) log-mel to (N, 128).

    Without the package's ReLU behind the last layer, which is the choice of each model (`params.Model.audio_relu`).
    pca: with it, and then torchvggish's post-processing: PCA with whitening and quantisation to whole numbers 0..255.
    """

    def __init__(self, pca: bool):
        super().__init__()
        self.vgg = vggish.VGG(vggish.make_layers(), postprocess=False)
        self.vgg.embeddings = self.vgg.embeddings[:-1]
        self.pca = pca
        if pca:
            self.register_buffer("pca_eigen_vectors", torch.zeros(EMBEDDING, EMBEDDING))
            self.register_buffer("pca_means", torch.zeros(EMBEDDING, 1))

    def forward(self, examples: Tensor) -> Tensor:
        found = self.vgg(examples)
        if not self.pca:
            return found
        low, high = vggish_params.QUANTIZE_MIN_VAL, vggish_params.QUANTIZE_MAX_VAL
        turned = (self.pca_eigen_vectors @ (found.relu().T - self.pca_means)).T.clamp(low, high)
        return torch.round((turned - low) * (255 / (high - low)))


class FrozenAudio:
    """A sound encoder that never trains.

    module: in evaluation mode; no parameter requires a gradient. digest: sha256 of the weight file.
    """

    def __init__(self, module: nn.Module, architecture: str, digest: str):
        self.module = module.eval().requires_grad_(False)
        self.architecture, self.digest = architecture, digest

    def to(self, device: torch.device | str) -> Self:
        """Moves the module; returns self."""
        self.module.to(device)
        return self

    def examples(self, wave: np.ndarray, rate: int = RATE) -> Tensor:
        """See `examples`."""
        return examples(wave, rate)

    @torch.no_grad()
    def embed(self, batch: Tensor) -> Tensor:
        """(n, 1, 96, 64) examples to (n, 128) float32, in pieces that bound memory."""
        device = next(self.module.parameters()).device
        return torch.cat([self.module(piece.to(device)).float().cpu() for piece in batch.split(64)])


def examples(wave: np.ndarray, rate: int = RATE) -> Tensor:
    """VGGish's log-mel examples of a sound, as torchvggish computes them: (n, 1, 96, 64) float32.

    wave: (samples,) or (samples, channels) float in [-1, 1], 16 kHz; channels are averaged. Examples last 0.96 s and
    do not overlap: 5.00 s give 5, 10.00 s give 10; a rest shorter than an example is left out. A sound shorter than
    one example is filled up with silence. Raises InputError for another rate or no samples.
    """
    if rate != RATE:
        raise InputError(f"a sound of {rate} Hz", remedy=f"resample it to {RATE} Hz first")
    wave = np.asarray(wave, dtype=np.float64)
    if wave.ndim == 2:
        wave = wave.mean(axis=1)
    if wave.size == 0:
        raise InputError("a sound without samples")
    if not np.isfinite(wave).all():
        raise InputError("a sound with samples that are not numbers (NaN or infinite)")
    wave = np.pad(wave, (0, max(0, EXAMPLE_SAMPLES - len(wave))))
    # What the package's log_mel_spectrogram computes, without making the same mel matrix for every sound.
    magnitudes = mel_features.stft_magnitude(wave, fft_length=512, hop_length=HOP_SAMPLES, window_length=WINDOW_SAMPLES)
    log_mel = np.log(magnitudes @ _mel_matrix(magnitudes.shape[1]) + vggish_params.LOG_OFFSET)
    frames = vggish_params.NUM_FRAMES
    framed = mel_features.frame(log_mel, window_length=frames, hop_length=frames)
    return torch.from_numpy(np.ascontiguousarray(framed, dtype=np.float32))[:, None]


@functools.cache
def _mel_matrix(frequencies: int) -> np.ndarray:
    """(frequencies, 64): turns STFT magnitudes into mel bands."""
    return mel_features.spectrogram_to_mel_matrix(
        num_mel_bins=vggish_params.NUM_MEL_BINS,
        num_spectrogram_bins=frequencies,
        audio_sample_rate=RATE,
        lower_edge_hertz=vggish_params.MEL_MIN_HZ,
        upper_edge_hertz=vggish_params.MEL_MAX_HZ,
    )


# ------------------------------------------------------------------------ saving, loading
def build(settings: params.Audio) -> nn.Module:
    """An untrained encoder."""
    if settings.architecture == "mini_vggish":
        return MiniVggish()
    return Vggish(settings.pca)


def save(module: nn.Module, settings: params.Audio, path: Path | str) -> None:
    """Writes an encoder's weights as safetensors; the header says architecture and settings."""
    facts = {
        "architecture": settings.architecture,
        "settings": canonical_json(settings.model_dump(mode="json")),
    }
    tensorfile.write(path, module.state_dict(), facts)


def load(path: Path | str) -> FrozenAudio:
    """Reads what `save` wrote. Raises InputError when the file is missing, damaged or not a sound encoder."""
    tensors, facts = weights.read(path)
    try:
        settings = params.Audio.model_validate_json(facts.get("settings", ""))
    except ValueError as error:
        what = f"its header names no sound encoder: architecture {facts.get('architecture')}"
        raise InputError(what, path=path, remedy="run `soundprompt pretrain --model audio` again") from error
    with torch.random.fork_rng(devices=[]):
        module = build(settings)
    weights.load_strictly(module, tensors, path, settings.architecture)
    return FrozenAudio(module, settings.architecture, records.sha256(path))


def import_checkpoint(settings: params.Audio, layout: Layout) -> None:
    """Turns the released VGGish weights (.pth) into layout.foundation("audio") with the settings' switches.

    With `pca`, the released PCA parameters are read too. Nothing in the files is executed. Raises InputError for a
    wrong, truncated or missing file, naming what differs.
    """
    watch = provenance.Stopwatch()
    path = Path(settings.checkpoint or "")
    tensors = {f"vgg.{name}": value for name, value in weights.read_released(path).items()}
    inputs = {"checkpoint": digest_file(path)}
    if settings.pca:
        tensors |= read_pca(Path(settings.pca_checkpoint or ""))
        inputs["pca_checkpoint"] = digest_file(settings.pca_checkpoint or "")
    module = Vggish(settings.pca)
    weights.load_strictly(module, tensors, path, "VGGish")
    save(module, settings, layout.foundation("audio"))
    origin = provenance.record("pretrain/audio", settings, None, inputs, watch)
    quality = {"parameters": count_parameters(module), "measured": None}
    weights.conclude(layout.foundation("audio"), quality, origin)


def read_pca(path: Path) -> dict[str, Tensor]:
    """The released PCA parameters: eigenvectors (128, 128) and means (128, 1). Raises InputError."""
    rebuild = np._core.multiarray._reconstruct
    arrays = (np.ndarray, np.dtype, rebuild, (rebuild, "numpy.core.multiarray._reconstruct"))
    arrays += tuple(type(np.dtype(name)) for name in ("f4", "f8"))
    content = weights.read_released(path, trusted=arrays)
    names = (vggish_params.PCA_EIGEN_VECTORS_NAME, vggish_params.PCA_MEANS_NAME)
    if not all(name in content for name in names):
        what = f"expected {' and '.join(names)}, found {', '.join(map(str, content))}"
        raise InputError(what, path=path, remedy="use the PCA parameters of torchvggish's release")
    vectors, means = (torch.as_tensor(content[name]).float() for name in names)
    return {"pca_eigen_vectors": vectors, "pca_means": means.reshape(-1, 1)}
