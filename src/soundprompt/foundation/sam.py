"""SAM behind one interface: the mini one of this project and the released ViT-B, L and H."""

from __future__ import annotations

import math
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
from soundprompt.foundation import mini_sam, upscaling, weights
from soundprompt.foundation.geometry import square
from soundprompt.foundation.packages import submodule
from soundprompt.foundation.vit import ViTBlock
from soundprompt.layout import Layout

released_builders = submodule("segment_anything", "build_sam").sam_model_registry
Sam = mini_sam.modeling.Sam

PATCH = mini_sam.PATCH  # of the released models too
RELEASED_SIZE = 1024  # side of the released models' input, pixels


class FrozenSam:
    """A SAM that never trains, with the steps that the pipeline needs one by one.

    sam: the package's module, in evaluation mode; no parameter requires a gradient.
    image_size: side S of the padded input, pixels. square: how pictures lie there. grid: side h = w of F_V (S / 16).
    cells: side n of the grid that masks are drawn on, 4h; of the mini SAM 8h.
    depth: encoder blocks. dim: width of their tokens. prompt_dim: channels C of F_V and of prompt tokens.
    digest: sha256 of the weight file; names everything that is computed with it.
    """

    def __init__(self, sam: Sam, architecture: str, digest: str):
        self.sam = sam.eval().requires_grad_(False)
        self.architecture, self.digest = architecture, digest
        encoder = sam.image_encoder
        self.image_size = encoder.img_size
        self.square = square("sam", self.image_size)
        self.depth = len(encoder.blocks)
        self.dim = encoder.patch_embed.proj.out_channels
        self.prompt_dim = sam.prompt_encoder.embed_dim
        self.grid: int = sam.prompt_encoder.image_embedding_size[0]
        self.cells = self.grid * upscaling.factor(sam.mask_decoder.output_upscaling)
        self.blocks = nn.ModuleList(ViTBlock(block, self) for block in encoder.blocks)

    def to(self, device: torch.device | str) -> Self:
        """Moves the module; returns self."""
        self.sam.to(device)
        self.blocks.to(device)
        return self

    @property
    def image_pe(self) -> Tensor:
        """Positional encoding of the grid, (1, C, h, w)."""
        return self.sam.prompt_encoder.get_dense_pe()

    @property
    def no_mask(self) -> Tensor:
        """The learned dense prompt 'no mask given', (1, C, 1, 1)."""
        return self.sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture of that (height, width) once its longest side is S."""
        return self.square.resized(size)

    def preprocess(self, images: Sequence[np.ndarray], bgr: bool = False) -> Tensor:
        """Pictures as the encoder takes them, SAM's own way: PIL bilinear, SAM's mean and sd, padded right and below.

        images: uint8, (H, W, 3), RGB, sizes may differ. Returns (B, 3, S, S) float32.
        bgr: hand the channels over as BGR with the statistics of RGB, as the released GAVS code does by accident.
        Raises InputError for another type or shape.
        """
        return self.normalise([self.resize(image, bgr) for image in images])

    def resize(self, image: np.ndarray, bgr: bool = False) -> Tensor:
        """The first half of `preprocess`, of one picture and on the CPU: (H, W, 3) to uint8 with longest side S."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"a picture is uint8 (H, W, 3), got {image.dtype} {image.shape}")
        height, width = self.resized(image.shape[:2])
        picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1] if bgr else image))
        return torch.from_numpy(np.array(picture.resize((width, height), Image.Resampling.BILINEAR)))

    def normalise(self, resized: Sequence[Tensor]) -> Tensor:
        """The second half, on the module's device: what `resize` gave, to (B, 3, S, S) float32."""
        placed = [pixels.to(self.sam.device, non_blocking=True) for pixels in resized]
        return torch.stack([self.sam.preprocess(pixels.permute(2, 0, 1)) for pixels in placed])

    def valid_cells(self, sizes: Tensor | Sequence[tuple[int, int]]) -> Tensor:
        """Which cells of F_V show picture rather than padding, (B, h, w) bool.

        sizes: original (height, width) of each picture. A cell counts when at least half of its rows and of its
        columns lie in the picture; the first row and column always count.
        """
        resized = torch.tensor([self.resized((int(height), int(width))) for height, width in sizes])
        ends = (resized / PATCH + 0.5).floor().clamp(min=1)
        cells = torch.arange(self.grid)
        rows, columns = cells < ends[:, :1], cells < ends[:, 1:]
        return rows[:, :, None] & columns[:, None, :]

    @torch.no_grad()
    def prefix(self, x: Tensor, taps: Sequence[int | None]) -> dict[int | None, Tensor]:
        """Activations at several places of the encoder, in one pass that stops after the last of them.

        x: (B, 3, S, S) from `preprocess`. Tap k (int) is the input of block k, (B, h, w, dim); tap None is the
        encoder's output F_V, (B, C, h, w): what the package's encoder computes, on large grids in another order.
        """
        numbers = {tap for tap in taps if tap is not None}
        if not numbers <= set(range(self.depth)):
            raise InputError(f"tap {max(numbers)}: {self.architecture} has blocks 0 to {self.depth - 1}")
        encoder = self.sam.image_encoder
        tokens = encoder.patch_embed(x)
        if encoder.pos_embed is not None:
            tokens = tokens + encoder.pos_embed
        found: dict[int | None, Tensor] = {}
        last = self.depth if None in taps else max(numbers, default=-1)
        for number, block in enumerate(self.blocks):
            if number in numbers:
                found[number] = tokens
            if number >= last:
                break
            tokens = torch.add(*block(tokens))
        if None in taps:
            # In float16 the neck makes half of the squared error.
            with torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False):
                found[None] = encoder.neck(tokens.permute(0, 3, 1, 2).float())
        return found

    def restore(self, logits: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Decoder logits (B, 1, n, n) at the pictures' own sizes: B tensors (H, W). See `Square.restore`."""
        return self.square.restore(logits, sizes)


# ------------------------------------------------------------------------------ building
def build(architecture: str, image_size: int) -> Sam:
    """An untrained SAM, initialised from torch's random state. Raises InputError when image_size does not fit."""
    if image_size % PATCH:
        raise InputError(f"foundation.sam.image_size: {image_size} is not a multiple of {PATCH}")
    if architecture == "mini":
        return mini_sam.build(image_size)
    sam = released_builders[architecture]()
    resize_tables(sam, image_size)
    return sam


@torch.no_grad()
def resize_tables(sam: Sam, image_size: int) -> None:
    """Fits SAM to another input size, in place: position tables interpolated, all other weights as they are.

    Absolute positions (1, h, w, dim) bilinearly; relative positions (2h - 1, head width) of the blocks with
    global attention linearly, by the rule of the package's own `get_rel_pos`. Windows of 14 x 14 tokens keep
    their tables. At the size it already has, SAM is not touched.
    """
    encoder, prompts = sam.image_encoder, sam.prompt_encoder
    if image_size == encoder.img_size:
        return
    grid = image_size // PATCH
    table = encoder.pos_embed.permute(0, 3, 1, 2)
    table = F.interpolate(table, (grid, grid), mode="bilinear", align_corners=False)
    encoder.pos_embed = nn.Parameter(table.permute(0, 2, 3, 1).contiguous(), encoder.pos_embed.requires_grad)
    for block in encoder.blocks:
        if block.window_size:
            continue
        for name in ("rel_pos_h", "rel_pos_w"):
            old = getattr(block.attn, name)
            new = F.interpolate(old.T[None], 2 * grid - 1, mode="linear")[0].T.contiguous()
            setattr(block.attn, name, nn.Parameter(new, old.requires_grad))
    encoder.img_size = image_size
    prompts.image_embedding_size, prompts.input_image_size = (grid, grid), (image_size, image_size)
    prompts.mask_input_size = (4 * grid, 4 * grid)


# ------------------------------------------------------------------------ saving, loading
def save(sam: Sam, settings: params.Sam, path: Path | str) -> None:
    """Writes a SAM's weights as safetensors; the header says architecture, input size and settings."""
    facts = {
        "architecture": settings.architecture,
        "image_size": str(sam.image_encoder.img_size),
        "settings": canonical_json(settings.model_dump(mode="json")),
    }
    tensorfile.write(path, sam.state_dict(), facts)


def load(path: Path | str) -> FrozenSam:
    """Reads what `save` wrote. Raises InputError when the file is missing, damaged or not a SAM."""
    tensors, facts = weights.read(path)
    known = ("mini", "vit_b", "vit_l", "vit_h")
    if facts.get("architecture") not in known or not facts.get("image_size", "").isdigit():
        what = f"its header names no SAM: architecture {facts.get('architecture')}, expected one of {', '.join(known)}"
        raise InputError(what, path=path, remedy="run `soundprompt pretrain --model sam` again")
    with torch.random.fork_rng(devices=[]):  # the random values that `build` draws are overwritten
        sam = build(facts["architecture"], int(facts["image_size"]))
    weights.load_strictly(sam, tensors, path, f"SAM {facts['architecture']}")
    return FrozenSam(sam, facts["architecture"], records.sha256(path))


def import_checkpoint(settings: params.Sam, layout: Layout) -> None:
    """Turns a released SAM checkpoint (.pth) into layout.foundation("sam") at the input size of the settings.

    Names and shapes must all fit; nothing in the file is executed. Raises InputError for a wrong, truncated or
    missing file, naming what differs.
    """
    watch = provenance.Stopwatch()
    path = Path(settings.checkpoint or "")
    tensors = weights.read_released(path)
    sam = build(settings.architecture, RELEASED_SIZE)
    weights.load_strictly(sam, tensors, path, f"SAM {settings.architecture}")
    if settings.image_size % PATCH:
        raise InputError(f"foundation.sam.image_size: {settings.image_size} is not a multiple of {PATCH}")
    resize_tables(sam, settings.image_size)
    save(sam, settings, layout.foundation("sam"))
    origin = provenance.record("pretrain/sam", settings, None, {"checkpoint": digest_file(path)}, watch)
    quality = {"parameters": count_parameters(sam), "measured": None}
    weights.conclude(layout.foundation("sam"), quality, origin)


def count_parameters(module: nn.Module) -> int:
    """Numbers in a module's parameters."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
