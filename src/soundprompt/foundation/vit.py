"""The blocks of SAM's image encoder, as extraction, training, examining and prediction run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam

# From this many tokens on, a processor computes attention without holding the token x token matrix: at 64 x 64
# tokens that matrix alone takes 0.8 GB a frame. On small grids and in windows holding it is as fast.
BLOCKWISE_FROM = 1024
QUERIES = 256  # whose products with 4,096 keys, 4 MB, stay in the cache of a core


class ViTBlock(nn.Module):
    """One ViT block of SAM up to its last sum: x after attention, and m = MLP(norm2(x)). Shares the block's weights."""

    row_offsets: Tensor
    column_offsets: Tensor

    def __init__(self, block: Any, sam: FrozenSam):  # a Block of the package, which has no types
        super().__init__()
        self.width = sam.dim
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        self.qkv, self.proj, self.heads = block.attn.qkv, block.attn.proj, block.attn.num_heads
        self.window = block.window_size
        side = self.window or sam.grid
        self.register_buffer("row_offsets", offsets(block.attn.rel_pos_h, side), persistent=False)
        self.register_buffer("column_offsets", offsets(block.attn.rel_pos_w, side), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, h, w, D) to x and m, of the same shape each; the block's output is their sum."""
        normed = self.norm1(x)
        x = x + (self.attend_in_windows(normed) if self.window else self.attend(normed))
        return x, self.mlp(self.norm2(x))

    def attend_in_windows(self, x: Tensor) -> Tensor:
        """Attention inside windows, zero-padded right and bottom to whole ones, as SAM does."""
        (b, h, w, d), s = x.shape, self.window
        rows, columns = -(-h // s), -(-w // s)
        x = F.pad(x, (0, 0, 0, columns * s - w, 0, rows * s - h))
        windows = x.view(b, rows, s, columns, s, d).transpose(2, 3).reshape(-1, s, s, d)
        out = self.attend(windows).view(b, rows, columns, s, s, d).transpose(2, 3)
        return out.reshape(b, rows * s, columns * s, d)[:, :h, :w]

    def attend(self, x: Tensor) -> Tensor:
        """Self-attention over h x w tokens with SAM's decomposed relative positions."""
        b, h, w, d = x.shape
        qkv = self.qkv(x).reshape(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, b * self.heads, h * w, -1).unbind(0)
        cells = q.view(b * self.heads, h, w, -1)
        rows = torch.einsum("bhwc,hkc->bhwk", cells, self.row_offsets).flatten(1, 2)
        columns = torch.einsum("bhwc,wkc->bhwk", cells, self.column_offsets).flatten(1, 2)
        out = attention(q, k, v, rows, columns, self.heads)
        return self.proj(out.view(b, self.heads, h * w, -1).transpose(1, 2).reshape(b, h, w, d))


def offsets(table: Tensor, side: int) -> Tensor:
    """(2 side - 1, c) position vectors by distance, as (query place, key place, c)."""
    place = torch.arange(side, device=table.device)
    return table.detach()[place[:, None] - place[None] + side - 1]


# ------------------------------------------------------------------------------ attention
def attention(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor, heads: int) -> Tensor:
    """softmax(q.k / sqrt(c) + position) v, position = rows[i, r] + columns[i, s] of query i, key in row r and column s.

    q, k, v: (pictures * heads, n, c); rows, columns: (pictures * heads, n, side), with n = side * side. Returns what v
    is. Three ways to one result; which is the fastest depends on the device and the size alone.
    """
    if q.is_cuda:
        return _fused(q, k, v, rows, columns, heads)
    if q.device.type == "cpu" and q.shape[1] >= BLOCKWISE_FROM and not torch.compiler.is_exporting():
        return Blockwise.apply(q, k, v, rows, columns)
    return _at_once(q, k, v, rows, columns)


def _at_once(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The package's own sums, in their order and to the same bits."""
    products = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    scores = products.view(*rows.shape, -1) + rows[..., :, None]
    scores += columns[..., None, :]
    return scores.flatten(2).softmax(-1) @ v


def _fused(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor, heads: int) -> Tensor:
    """By torch's fused kernels.

    On large grids the positions are carried by extra channels, of the query its `rows` and `columns`, of the key
    one-hot marks of where it is; a mask of all pairs would be read and written in forward and backward pass. The fast
    kernel takes equal widths only, hence the padding of v. In windows the mask is small.
    """
    q, k, v, rows, columns = (x.unflatten(0, (-1, heads)) for x in (q, k, v, rows, columns))
    if q.shape[2] < BLOCKWISE_FROM:
        mask = (rows[..., :, None] + columns[..., None, :]).flatten(3)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
    else:
        marks = _cells(rows.shape[-1], k).expand(*k.shape[:2], -1, -1)
        q, k = torch.cat([q * q.shape[-1] ** -0.5, rows, columns], -1), torch.cat([k, marks], -1)
        padded = F.pad(v, (0, q.shape[-1] - v.shape[-1]))
        out = F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : v.shape[-1]]
    return out.flatten(0, 1)


def _cells(side: int, like: Tensor) -> Tensor:
    """(side * side, 2 side): ones where a cell's row and column are."""
    eye = torch.eye(side, dtype=like.dtype, device=like.device)
    return torch.cat([eye.repeat_interleave(side, 0), eye.repeat(side, 1)], 1)


class Blockwise(torch.autograd.Function):
    """The same for a few queries at a time, in float32; the backward pass computes their weights anew."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        out, space = torch.empty_like(v), _space(q)
        for head in range(len(q)):
            for some in _spans(q):
                torch.mm(_weights(space, q, k, rows, columns, head, some), v[head], out=out[head, some])
        ctx.save_for_backward(q, k, v, rows, columns, out)
        return out

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        q, k, v, rows, columns, out = ctx.saved_tensors
        by_q, by_k, by_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        by_rows, by_columns = torch.empty_like(rows), torch.empty_like(columns)
        space, other = _space(q), _space(q)
        means = (given * out).sum(-1, keepdim=True)  # of the gradient over the keys, by their weights
        for head in range(len(q)):
            for some in _spans(q):
                weights, wanted = _weights(space, q, k, rows, columns, head, some), given[head, some]
                by_v[head].addmm_(weights.T, wanted)
                by_scores = torch.mm(wanted, v[head].T, out=other[: len(wanted)])
                by_scores.sub_(means[head, some]).mul_(weights)
                torch.mm(by_scores, k[head], out=by_q[head, some])
                by_k[head].addmm_(by_scores.T, q[head, some])
                placed = by_scores.view(len(wanted), rows.shape[-1], -1)
                torch.sum(placed, 2, out=by_rows[head, some])
                torch.sum(placed, 1, out=by_columns[head, some])
        scale = q.shape[-1] ** -0.5
        return by_q.mul_(scale), by_k.mul_(scale), by_v, by_rows, by_columns


def _weights(space: Tensor, q: Tensor, k: Tensor, rows: Tensor, columns: Tensor, head: int, some: slice) -> Tensor:
    """Attention weights of some queries of a head over all keys, written into `space`."""
    row, column = rows[head, some], columns[head, some]
    scores = space[: len(row)]
    torch.add(row[:, :, None], column[:, None, :], out=scores.view(*row.shape, -1))
    torch.addmm(scores, q[head, some], k[head].T, alpha=q.shape[-1] ** -0.5, out=scores)
    return torch.softmax(scores, -1, out=scores)


def _space(q: Tensor) -> Tensor:
    return q.new_empty(min(QUERIES, q.shape[1]), q.shape[1])


def _spans(q: Tensor) -> list[slice]:
    return [slice(at, at + QUERIES) for at in range(0, q.shape[1], QUERIES)]
