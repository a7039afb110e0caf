"""Tensors on disk: the one writer of safetensors files."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from soundprompt.files import canonical_json, publish

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What the format calls the kinds of numbers."""


def write(path: Path | str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """Writes tensors and header metadata, whole or not at all; returns the file's sha256.

    Equal content gives equal bytes, which the library's own writer does not promise: it orders metadata by chance, anew
    in each process. Nor does it say what a disk refuses. Tensors are written one by one, so that this takes no memory
    beyond theirs. The format stands in the documentation of safetensors, section Format.
    """
    head, _ = header(tensors, facts)
    digest = hashlib.sha256()
    size = len(head) + sum(tensor.nbytes for tensor in tensors.values())
    with publish(path, size) as aside, open(aside, "wb") as stream:
        for content in itertools.chain([head], _contents(tensors)):
            digest.update(content)
            stream.write(content)
    return digest.hexdigest()


def header(tensors: Mapping[str, Tensor], facts: Mapping[str, str], size: int = 0) -> tuple[bytes, dict[str, int]]:
    """The first bytes of a file, at least `size` of them, and where in it each tensor then begins.

    Of the tensors shape and dtype alone count, so that those on the meta device will do.
    """
    entries: dict[str, object] = {"__metadata__": dict(facts)}
    starts, at = {}, 0
    for name in _order(tensors):
        tensor = tensors[name]
        starts[name], at = at, at + tensor.nbytes
        entries[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [starts[name], at]}
    content = canonical_json(entries).encode().ljust(size - 8)
    content += b" " * (-len(content) % 8)  # the format wants the tensors aligned to 8 bytes
    head = len(content).to_bytes(8, "little") + content
    return head, {name: len(head) + start for name, start in starts.items()}


def _order(tensors: Mapping[str, Tensor]) -> list[str]:
    """Wide numbers first, so that each tensor is aligned to its own."""
    return sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))


def _contents(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    for name in _order(tensors):
        flat = tensors[name].detach().cpu().contiguous().flatten()
        yield memoryview(flat.view(torch.uint8).numpy())
