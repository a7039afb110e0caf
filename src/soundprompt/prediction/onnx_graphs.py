"""A trained model as ONNX graphs, for machines without torch: from cached features, and whole, with its encoders."""

from __future__ import annotations

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soundprompt.errors import InputError
from soundprompt.prediction.listener import Listener

FOLDER = "onnx"
AGREEMENT = 1e-4  # of probabilities, between torch and onnxruntime
NEEDED = ("onnx", "onnxscript", "onnxruntime")
EXAMPLES = 2  # frames of the example that is traced and compared; the graphs take any number


class FromFeatures(nn.Module):
    """Prompt, decoder and tail of the encoder. visual: of the model's tap; audio: (frames, 128); valid of `Batch`."""

    def __init__(self, listener: Listener):
        super().__init__()
        self.model = listener.model

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        return self.model.answer(self.model.encode(visual), audio, valid).logits


class Whole(nn.Module):
    """All of it. pixels: (frames, 3, S, S) of `preprocess`; log_mel: (frames, 1, 96, 64) of VGGish's examples."""

    def __init__(self, listener: Listener):
        super().__init__()
        self.model, self.audio, self.encoder = listener.model, listener.audio.module, listener.encoder

    def forward(self, pixels: Tensor, log_mel: Tensor, valid: Tensor) -> Tensor:
        tap = self.model.tap
        visual = pixels if tap == "pixels" else self.encoder.prefix(pixels, [tap])[tap]
        return self.model.answer(self.model.encode(visual), self.audio(log_mel), valid).logits


def check() -> None:
    """Raises InputError when the packages are not there."""
    for package in NEEDED:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(f"--onnx: needs {package}", remedy="pip install 'soundprompt[onnx]'") from error


def write(listener: Listener, folder: Path) -> None:
    """Writes `whole.onnx`, and `from_features.onnx` where the model reads features; opset and shapes are in them.

    Both give `logits` (frames, 1, n, n) on the encoder's square: `Square.restore` and a sigmoid make probabilities.
    Raises InputError for a model that looks across time or for which torch finds no graph, and when onnxruntime answers
    otherwise than torch.
    """
    check()
    if listener.model.temporal:
        name = listener.run.view.model.architecture
        raise InputError(f"--onnx: {name} looks across time, which the graphs do not", remedy="leave --onnx out")
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pixels = torch.randn(EXAMPLES, 3, listener.encoder.image_size, listener.encoder.image_size)
        log_mel = torch.randn(EXAMPLES, 1, 96, 64)
    grid, tap = listener.encoder.grid, listener.model.tap
    valid = torch.ones(EXAMPLES, grid, grid, dtype=torch.bool)
    _write(Whole(listener), {"pixels": pixels, "log_mel": log_mel, "valid": valid}, folder / "whole.onnx")
    if tap != "pixels":
        given = {"visual": listener.encoder.prefix(pixels, [tap])[tap], "audio": listener.audio.embed(log_mel)}
        _write(FromFeatures(listener), {**given, "valid": valid}, folder / "from_features.onnx")


def session(path: Path, threads: int = 0) -> Any:
    """An onnxruntime.InferenceSession of a graph on the processor. threads: 0 for as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def _write(module: nn.Module, given: dict[str, Tensor], path: Path) -> None:
    frames = torch.export.Dim("frames", min=1, max=4096)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                tuple(given.values()),
                path,
                input_names=list(given),
                output_names=["logits"],
                dynamic_shapes={name: {0: frames} for name in given},
                dynamo=True,
                verbose=False,
                external_data=False,
            )
    except torch.onnx.OnnxExporterError as error:
        what = f"--onnx: torch finds no graph for {type(module.model).__name__} with these settings"
        raise InputError(what, path=path, remedy="leave --onnx out") from error
    graph = session(path)
    for number in (EXAMPLES, 1):
        some = {name: tensor[:number] for name, tensor in given.items()}
        (found,) = graph.run(None, {name: tensor.numpy() for name, tensor in some.items()})
        apart = float((torch.sigmoid(torch.from_numpy(found)) - torch.sigmoid(module(*some.values()))).abs().max())
        logging.getLogger(__name__).info("%s: %d frames, %.1e from torch", path.name, number, apart)
        if not apart <= AGREEMENT:
            what = f"--onnx: onnxruntime's probabilities are up to {apart:.1e} from torch's"
            raise InputError(what, path=path, remedy="leave --onnx out, and tell the authors")
