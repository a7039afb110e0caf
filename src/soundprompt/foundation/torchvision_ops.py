"""Lets torchvision, and with it timm, import where torchvision's compiled operators are missing.

torchvision wheels hold operators compiled against one build of torch. Beside another build (a CPU torch from
one package index, a CUDA torchvision from another) they cannot be loaded, and `import torchvision` stops at
"operator torchvision::nms does not exist". Nothing here calls these operators: timm's PVT-v2 needs none. So where,
and only where, the import fails for that reason, the two schemas that the import asks for are declared. Calling nms
then still fails, as it should.
"""

from __future__ import annotations

import sys

from torch import library

# The registration lives as long as this handle.
_declared: library.Library | None = None


def import_works() -> bool:
    """Whether `import torchvision` succeeds; False only when its compiled operators are missing."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return False
    return True


def declare_missing() -> bool:
    """Declares the missing operators; returns whether that was necessary. Does nothing where torchvision works."""
    global _declared
    if _declared is not None or import_works():
        return False
    operators = library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared = operators
    return True
