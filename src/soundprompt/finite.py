"""Numbers that are not finite (NaN, infinity) end what meets them, with a message that says where they are.

Whatever takes numbers in or gives some out asks here. Left alone they pass for results: NaN is not above any score, so
that a model which answers NaN would merely not be the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from soundprompt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

NAMED = 6  # clips that a message names


def check(
    values: Tensor | np.ndarray | float,
    what: str,
    *,
    clips: Sequence[str] = (),
    path: Path | str | None = None,
    remedy: str,
) -> None:
    """Raises InputError unless all numbers are finite.

    values: a number, or an array or tensor of any shape. what: the message up to its verb, such as
    'v1s/gavs seed 0: the loss at step 3 is'. clips: one name for each row of `values`, of which the message names those
    with such numbers; of a single number, all that had a part in it. path, remedy: as in InputError.
    """
    if everywhere(values):
        return
    numbers = np.atleast_1d(values.detach().float().cpu().numpy() if _is_tensor(values) else values)
    kind = "NaN" if np.isnan(numbers).any() else "infinite"
    if len(numbers) == len(clips):
        rows = ~np.isfinite(numbers).reshape(len(numbers), -1).all(1)
        clips = [clip for clip, bad in zip(clips, rows, strict=True) if bad]
    names = list(dict.fromkeys(clips))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = f"; clips: {', '.join(names[:NAMED])}{more}" if names else ""
    raise InputError(f"{what} not finite ({kind}){listed}", path=path, remedy=remedy)


def check_all(tensors: Mapping[str, Tensor], what: str, *, path: Path | str | None = None, remedy: str) -> None:
    """The same for weights by name; what: the message up to that name, such as 'its weights'."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            check(tensor, f"{what} {name} are", path=path, remedy=remedy)


def everywhere(values: Tensor | np.ndarray | float) -> bool:
    """Whether all numbers are finite."""
    if _is_tensor(values):
        if values.device.type != "cpu" or str(values.dtype) != "torch.float16":
            return bool(values.isfinite().all())
        values = values.detach().numpy()
    if isinstance(values, np.ndarray) and values.dtype == np.float16:
        # the exponent's bits: numpy and torch convert half precision first, which takes ten times as long
        return not ((values.view(np.uint16) & 0x7C00) == 0x7C00).any()
    return bool(np.isfinite(values).all())


def _is_tensor(values: Tensor | np.ndarray | float) -> TypeGuard[Tensor]:
    """Without importing torch, which takes seconds, where there are only arrays."""
    return hasattr(values, "detach")
