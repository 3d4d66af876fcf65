"""torch's exports of a network: the programs that ours are compared with. Needs torch."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import torch_networks
from stn_jax.experiments.export.programs import INPUT
from stn_jax.experiments.trained_networks import Network

Run = Callable[[], np.ndarray]
Program = Callable[[np.ndarray], Run]


class Classifier(nn.Module):
    """Maps pixels [B, C, H, W] uint8 to probabilities, like our exported programs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.is_centred = network.config.task == "street_numbers"
        self.network = torch_networks.make_network(network.config, network.input_shape)
        torch_networks.load(self.network, network.variables)
        self.eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        images = pixels.float() / 255
        if self.is_centred:
            images = images - images.mean((1, 2, 3), keepdim=True)
        return self.network(images).softmax(-1)


def channels_first(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels [B, H, W, C] in torch's layout, contiguous."""
    return np.moveaxis(pixels, -1, 1).copy()


def exported(network: Network) -> Program:
    """Returns the program of `torch.export`."""
    return _program(_export(network).module())


def compiled(network: Network, folder: Path) -> Program:
    """Returns the same program, compiled by AOTInductor into the folder."""
    with _quiet():
        path = torch._inductor.aoti_compile_and_package(
            _export(network), package_path=str(folder / "model.pt2")
        )
        return _program(torch._inductor.aoti_load_package(path))


def onnx_model(network: Network) -> bytes:
    """Returns the model of `torch.onnx.export`. Needs onnxscript."""
    with _quiet():
        program = torch.onnx.export(_export(network), input_names=[INPUT], verbose=False)
    assert program is not None
    return program.model_proto.SerializeToString()


def _program(module: Callable[[torch.Tensor], torch.Tensor]) -> Program:
    def prepare(pixels: np.ndarray) -> Run:
        given = torch.from_numpy(channels_first(pixels))

        @torch.inference_mode()
        def run() -> np.ndarray:
            return module(given).numpy()

        return run

    return prepare


def _export(network: Network) -> Any:
    height, width, channels = network.input_shape
    # With a batch of 1 as the example, the program would take no other.
    pixels = torch.zeros(2, channels, height, width, dtype=torch.uint8)
    batch = {0: torch.export.Dim("batch", min=1, max=1024)}
    with torch.no_grad(), _quiet():
        return torch.export.export(Classifier(network), (pixels,), dynamic_shapes=(batch,))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what torch says about itself, such as that torchvision is not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
