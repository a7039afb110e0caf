"""The image encoder of the fusion baselines: four maps at strides 4, 8, 16 and 32, behind one interface.

mini: a small convolutional pyramid of this project, pre-trained here; pvt_v2_b5: the released PVT-v2-b5
(arXiv 2106.13797) through timm. A pyramid never trains here; models take copies of it and tune those.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from soundprompt import params, provenance, records, tensorfile
from soundprompt.errors import InputError
from soundprompt.files import canonical_json, digest_file
from soundprompt.foundation import weights
from soundprompt.foundation.geometry import square
from soundprompt.layout import Layout

STRIDES = (4, 8, 16, 32)
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of pixels in 0..1
# Channels of each stride, and residual blocks of each stage of the mini pyramid.
WIDTHS = {"mini_pyramid": (32, 64, 128, 192), "pvt_v2_b5": (64, 128, 320, 512)}
MINI_BLOCKS = (1, 1, 2, 1)


class FrozenPyramid:
    """A pyramid that never trains, with the interface that models and batches need of an image encoder.

    encoder: (B, 3, S, S) to four maps (B, C_i, S / stride_i, S / stride_i); in evaluation mode, without gradients.
    image_size: side S of the input, pixels. square: how pictures lie there. grid: side of the map at stride 16. cells:
    side of the grid that masks are drawn on, S / mask_stride. widths: channels C_i. digest: sha256 of the weight file.
    """

    def __init__(self, encoder: nn.Module, architecture: str, image_size: int, digest: str, mask_stride: int = 4):
        self.encoder = encoder.eval().requires_grad_(False)
        self.architecture, self.image_size, self.digest = architecture, image_size, digest
        self.square = square("pyramid", image_size)
        self.grid, self.cells, self.widths = image_size // 16, image_size // mask_stride, WIDTHS[architecture]

    def used_as(self, settings: params.Tuning) -> FrozenPyramid:
        """The same weights for a model: at its input size, with the grid that it draws masks on."""
        size = settings.image_size or self.image_size
        return FrozenPyramid(self.encoder, self.architecture, size, self.digest, settings.mask_stride)

    def to(self, device: torch.device | str) -> Self:
        """Moves the module; returns self."""
        self.encoder.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.encoder.parameters()).device

    def copy(self) -> nn.Module:
        """A private copy of the encoder, still without gradients."""
        return copy.deepcopy(self.encoder)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture in the input: all of it, since pictures are stretched as in AVSBench."""
        return self.square.resized(size)

    def shrink(self, image: np.ndarray, bgr: bool = False) -> Tensor:
        """A picture at the input's size, uint8 (3, S, S): stretched by PIL (bilinear), not cropped, not padded.

        image: uint8 (H, W, 3), RGB. bgr: channels in the order that released code confuses with it.
        Raises InputError for another type or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"a picture is uint8 (H, W, 3), got {image.dtype} {image.shape}")
        side = self.image_size
        if image.shape[:2] != (side, side):
            image = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(np.array(image[..., ::-1] if bgr else image, order="C"))
        return pixels.permute(2, 0, 1).contiguous()

    def preprocess(self, images: Sequence[np.ndarray], bgr: bool = False) -> Tensor:
        """Pictures as the encoder takes them, (B, 3, S, S) float32 on the encoder's device. See `shrink`."""
        return normalise(torch.stack([self.shrink(image, bgr) for image in images]).to(self.device))

    def valid_cells(self, sizes: Tensor | Sequence[tuple[int, int]]) -> Tensor:
        """(B, h, w) bool, as `FrozenSam.valid_cells`: there is no padding, so all of it is True."""
        return torch.ones((len(sizes), self.grid, self.grid), dtype=torch.bool)

    @torch.no_grad()
    def features(self, x: Tensor) -> list[Tensor]:
        """The four maps of (B, 3, S, S) from `preprocess`."""
        return self.encoder(x)

    def restore(self, logits: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Logits (B, 1, n, n) at the pictures' own sizes: B tensors (H, W). See `Square.restore`."""
        return self.square.restore(logits, sizes)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 (B, 3, S, S) as encoders take it: float32, ImageNet's mean and sd."""
    mean, sd = (255 * torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, SD))
    return (pixels.float() - mean) / sd


# ------------------------------------------------------------------------------ building
def build(architecture: str) -> nn.Module:
    """An untrained encoder, initialised from torch's random state."""
    return MiniPyramid() if architecture == "mini_pyramid" else Pvt()


class MiniPyramid(nn.Module):
    """Four stages, each a strided convolution without overlap and bottleneck blocks. 0.4 M parameters.

    norms: with batch normalisation, as in pre-training; without, as models get it (`fold`).
    """

    def __init__(self, *, norms: bool = False):
        super().__init__()
        widths = WIDTHS["mini_pyramid"]
        stages, inputs = [], 3
        for number, (width, blocks) in enumerate(zip(widths, MINI_BLOCKS, strict=True)):
            step = 2 if number else 4
            layers = [*_convolution(inputs, width, step, norms, stride=step), nn.ReLU()]
            stages.append(nn.Sequential(*layers, *(_Bottleneck(width, norms) for _ in range(blocks))))
            inputs = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Bottleneck(nn.Module):
    """1 x 1 to half of the channels, 3 x 3, 1 x 1 back, added to the input; ReLU."""

    def __init__(self, width: int, norms: bool):
        super().__init__()
        half = width // 2
        self.layers = nn.Sequential(
            *_convolution(width, half, 1, norms),
            nn.ReLU(),
            *_convolution(half, half, 3, norms),
            nn.ReLU(),
            *_convolution(half, width, 1, norms),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.layers(x))


def _convolution(inputs: int, outputs: int, kernel: int, norms: bool, stride: int = 1) -> list[nn.Module]:
    """A convolution with its normalisation, or with an empty place where that was."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2 if stride == 1 else 0)
    return [layer, nn.BatchNorm2d(outputs) if norms else nn.Identity()]


@torch.no_grad()
def fold(trained: MiniPyramid) -> MiniPyramid:
    """The same function without batch normalisation: its running statistics go into the convolutions.

    What models tune then has no state besides parameters, and no answer depends on its batch.
    """
    plain = MiniPyramid(norms=False)
    for target, source in zip(plain.modules(), trained.modules(), strict=True):
        if isinstance(source, nn.Sequential):
            for layer, folded, norm in zip(source, target, [*source[1:], None], strict=True):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                    folded.weight.copy_(layer.weight * scale[:, None, None, None])
                    folded.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
    return plain


class Pvt(nn.Module):
    """PVT-v2-b5 without its classifier: the normalised output of each stage. 81.4 M parameters."""

    def __init__(self):
        super().__init__()
        # torchvision's missing operators are declared first: timm imports torchvision
        from soundprompt.foundation.torchvision_ops import declare_missing

        declare_missing()
        from timm.models.pvt_v2 import pvt_v2_b5

        self.net = pvt_v2_b5(pretrained=False, num_classes=0)

    @property
    def blocks(self) -> list[nn.Module]:
        """Of all stages, in order."""
        return [block for stage in self.net.stages for block in stage.blocks]

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.net.patch_embed(x), []
        for stage in self.net.stages:
            x = stage(x)
            found.append(x)
        return found


# ------------------------------------------------------------------------ saving, loading
def save(encoder: nn.Module, settings: params.Pyramid, path: Path | str) -> None:
    """Writes an encoder's weights as safetensors; the header says architecture, input size and settings."""
    facts = {
        "architecture": settings.architecture,
        "image_size": str(settings.image_size),
        "settings": canonical_json(settings.model_dump(mode="json")),
    }
    tensorfile.write(path, encoder.state_dict(), facts)


def load(path: Path | str) -> FrozenPyramid:
    """Reads what `save` wrote. Raises InputError when the file is missing, damaged or not a pyramid."""
    tensors, facts = weights.read(path)
    architecture, size = facts.get("architecture", ""), facts.get("image_size", "")
    if architecture not in WIDTHS or not size.isdigit():
        what = f"its header names no pyramid: architecture {architecture!r}, expected one of {', '.join(WIDTHS)}"
        raise InputError(what, path=path, remedy="run `soundprompt pretrain --model pyramid` again")
    with torch.random.fork_rng(devices=[]):  # the random values that `build` draws are overwritten
        encoder = build(architecture)
    weights.load_strictly(encoder, tensors, path, f"pyramid {architecture}")
    return FrozenPyramid(encoder, architecture, int(size), records.sha256(path))


def import_checkpoint(settings: params.Pyramid, layout: Layout) -> None:
    """Turns the released pvt_v2_b5.pth into layout.foundation("pyramid").

    Names and shapes must all fit, the classifier aside; nothing in the file is executed. Raises InputError for a
    wrong, truncated or missing file, naming what differs.
    """
    watch = provenance.Stopwatch()
    path = Path(settings.checkpoint or "")
    tensors = {rename(name): tensor for name, tensor in weights.read_released(path).items()}
    tensors = {f"net.{name}": tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    encoder = build(settings.architecture)
    weights.load_strictly(encoder, tensors, path, "PVT-v2-b5")
    save(encoder, settings, layout.foundation("pyramid"))
    origin = provenance.record("pretrain/pyramid", settings, None, {"checkpoint": digest_file(path)}, watch)
    quality = {"parameters": sum(weight.numel() for weight in encoder.parameters()), "measured": None}
    weights.conclude(layout.foundation("pyramid"), quality, origin)


def rename(name: str) -> str:
    """A parameter's name in the released file to its name in timm.

    The release counts stages from 1 and keeps them apart: patch_embed2, block2.0, norm2; timm has stages.1 with
    downsample, blocks and norm. The release wraps the depthwise convolution once more.
    """
    name = name.replace(".dwconv.dwconv.", ".dwconv.")
    if name.startswith("patch_embed1."):
        return name.replace("patch_embed1.", "patch_embed.", 1)
    for kind, part in (("patch_embed", "downsample"), ("block", "blocks"), ("norm", "norm")):
        found = re.match(rf"{kind}([1-4])\.(.+)", name)
        if found:
            return f"stages.{int(found[1]) - 1}.{part}.{found[2]}"
    return name
