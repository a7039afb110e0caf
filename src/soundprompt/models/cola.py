"""ColA, the correlation adapter of the mask decoder."""

from __future__ import annotations

from torch import Tensor, nn

from soundprompt import params as p


class CorrelationAdapter(nn.Module):
    """A bottleneck of two linear layers; one stands in each two-way block of the decoder.

    Source: arXiv 2309.07929, overview figure (FC-ReLU-FC behind the MLP, so that it shapes keys and values
    of the image-to-token attention); the released code has GELU, a residual inside, and width 128.
    """

    def __init__(self, width: int, cola: p.Cola):
        super().__init__()
        self.placement, self.residual = cola.placement, cola.residual
        self.down, self.up = nn.Linear(width, cola.dim), nn.Linear(cola.dim, width)
        self.act = nn.GELU() if cola.act == "gelu" else nn.ReLU()
        if cola.zero_init:
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, n, C) what the adapter stands behind. Returns what takes its place."""
        return x + self.correction(x) if self.residual else self.correction(x)

    def correction(self, x: Tensor) -> Tensor:
        """The bottleneck alone; placement 'parallel' adds it to the output of the MLP it stands beside."""
        return self.up(self.act(self.down(x)))
