"""The networks of sections 4.1 and 4.2 in torch, built from the same configs. Needs torch.

Modules are named as in Flax, so that parameters can be copied by their paths.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict
from torch import nn

from benchmarks.torch_device import to_torch
from benchmarks.torch_samplers import GRIDS
from stn_jax.experiments.distorted_mnist import network as distorted_mnist
from stn_jax.experiments.street_numbers import network as street_numbers
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.transforms import make_family

Shape = tuple[int, int, int]  # channels, height, width


class Convolution(NamedTuple):
    """A convolution of stride 1, then batch norm if any, ReLU, max-pooling and dropout."""

    filters: int
    size: int
    padding: int = 0
    pool: bool = False
    dropout: float = 0.0


class Layers(nn.Module):
    """Convolutions, fully connected layers and a linear output layer.

    All networks of the paper, localisation networks included, have this form.

    Args:
        shape: the shape of the input.
        convolutions: the first layers.
        features: the widths of the fully connected ReLU layers.
        outputs: the width of the last layer.
        batch_norm: whether each layer but the last is batch-normalised.
        dropout: the dropout rate of the fully connected layers.
        transformers: the i-th one is applied before the i-th convolution.
        downsample: the size and stride of the average pooling of the input; 1 for none.
        last: the name of the last layer.
    """

    def __init__(
        self,
        shape: Shape,
        convolutions: Sequence[Convolution],
        features: Sequence[int],
        outputs: int,
        *,
        batch_norm: bool,
        dropout: float = 0.0,
        transformers: Sequence[nn.Module] = (),
        downsample: int = 1,
        last: str = "",
    ) -> None:
        super().__init__()
        self.convolutions, self.dropout, self.downsample = convolutions, dropout, downsample
        self.num_transformers = len(transformers)
        for i, transformer in enumerate(transformers):
            self.add_module(f"transformers_{i}", transformer)
        channels, height, width = shape[0], shape[1] // downsample, shape[2] // downsample
        for i, layer in enumerate(convolutions):
            self.add_module(
                f"Conv_{i}", nn.Conv2d(channels, layer.filters, layer.size, padding=layer.padding)
            )
            lost = layer.size - 1 - 2 * layer.padding
            channels, height, width = layer.filters, height - lost, width - lost
            if layer.pool:
                height, width = -(-height // 2), -(-width // 2)
            if batch_norm:
                self.add_module(f"BatchNorm_{i}", _norm(nn.BatchNorm2d(channels)))
        self.flattened = (channels, height, width)
        incoming = channels * height * width
        for i, wide in enumerate(features):
            self.add_module(f"Dense_{i}", nn.Linear(incoming, wide))
            if batch_norm:
                name = f"BatchNorm_{len(convolutions) + i}"
                self.add_module(name, _norm(nn.BatchNorm1d(wide)))
            incoming = wide
        self.num_features, self.batch_norm = len(features), batch_norm
        self.last = last or f"Dense_{len(features)}"
        head = nn.Linear(incoming, outputs)
        self.add_module(self.last, nn.ModuleDict({"Dense_0": head}) if last else head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images [B, C, H, W] to [B, outputs]."""
        if self.downsample > 1:
            x = F.avg_pool2d(x, self.downsample)
        for i, layer in enumerate(self.convolutions):
            if i < self.num_transformers:
                x = self.get_submodule(f"transformers_{i}")(x)
            x = self._activated(self.get_submodule(f"Conv_{i}")(x), i)
            if layer.pool:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = F.dropout(x, layer.dropout, self.training)
        x = x.flatten(1)
        for i in range(self.num_features):
            x = self.get_submodule(f"Dense_{i}")(x)
            x = self._activated(x, len(self.convolutions) + i)
            x = F.dropout(x, self.dropout, self.training)
        head = self.get_submodule(self.last)
        return (head["Dense_0"] if isinstance(head, nn.ModuleDict) else head)(x)

    def _activated(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        if self.batch_norm:
            x = self.get_submodule(f"BatchNorm_{layer}.norm")(x)
        return F.relu(x)


class Transformer(nn.Module):
    """A spatial transformer whose output is as large as its input, or `size` pixels square."""

    def __init__(self, localisation: Layers, family: str, size: int = 0) -> None:
        super().__init__()
        self.localisation, self.family, self.size = localisation, family, size
        self.make_theta = {
            "affine": lambda params: params.unflatten(1, (2, 3)),
            "projective": lambda params: F.pad(params, (0, 1), value=1).unflatten(1, (3, 3)),
            "tps": lambda params: params.unflatten(1, (-1, 2)),
        }[family]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps images [B, C, H, W] to [B, C, H', W']."""
        height, width = (self.size, self.size) if self.size else images.shape[2:]
        theta = self.make_theta(self.localisation(images))
        grid = GRIDS[self.family](theta, (*images.shape[:2], height, width))
        return F.grid_sample(images, grid, align_corners=False)


class TransformedClassifier(nn.Module):
    """A transformer, average pooling and a classifier: the ST networks of section 4.1."""

    def __init__(self, transformer: Transformer, classifier: Layers, pool: int) -> None:
        super().__init__()
        self.transformer, self.classifier, self.pool = transformer, classifier, pool

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(F.avg_pool2d(self.transformer(images), self.pool))


class StreetNumberNetwork(nn.Module):
    """A network with scores for each digit: [B, 3, H, W] -> [B, 5, 11]."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images).unflatten(1, (MAX_DIGITS, -1))


def make_network(config: ConfigDict, input_shape: tuple[int, int, int]) -> nn.Module:
    """Returns the network of `config` for images of `input_shape` (height, width, channels)."""
    height, width, channels = input_shape
    make = {"distorted_mnist": _distorted_mnist, "street_numbers": _street_numbers}[config.task]
    return make(config.model, (channels, height, width))


def _distorted_mnist(config: ConfigDict, shape: Shape) -> nn.Module:
    norm: Any = {"batch_norm": config.batch_norm}
    transformed = config.family != "none"
    size = config.output_size or shape[1]
    inside = size // config.pool if transformed else shape[1]
    convolutions: list[Convolution] = []
    features: Sequence[int] = config.features
    if config.classifier != "fcn":
        layers = distorted_mnist.CLASSIFIERS[config.classifier](features)
        convolutions = [
            Convolution(filters, size, pool=layer in layers.pooled)
            for layer, (filters, size) in enumerate(
                zip(layers.features, layers.kernel_sizes, strict=True)
            )
        ]
        features = ()
    inner = (shape[0], inside, inside)
    classifier = Layers(inner, convolutions, features, distorted_mnist.NUM_CLASSES, **norm)
    if not transformed:
        return classifier
    outputs = make_family(config.family).num_params
    if config.localisation == "cnn":
        filters = [Convolution(20, 5, pool=True), Convolution(20, 5)]
        localisation = Layers(shape, filters, (20,), outputs, downsample=2, last="theta", **norm)
    else:
        localisation = Layers(shape, (), (32, 32, 32), outputs, last="theta", **norm)
    return TransformedClassifier(
        Transformer(localisation, config.family, size), classifier, config.pool
    )


def _street_numbers(config: ConfigDict, shape: Shape) -> nn.Module:
    norm: Any = {"batch_norm": config.batch_norm}
    outputs = make_family(config.family).num_params
    inputs = {"cnn": [], "single": [shape], "multi": []}[config.network]
    if config.network == "multi":
        size, channels = shape[1], shape[0]
        for layer in range(4):
            inputs.append((channels, size, size))
            channels, size = config.filters[layer], -(-size // 2) if layer % 2 == 0 else size
    filters = config.localisation_filters if config.network == "single" else ()
    convolutions = [
        Convolution(width, 5, padding=2, pool=layer == 0) for layer, width in enumerate(filters)
    ]
    transformers = [
        Transformer(
            Layers(at, convolutions, config.localisation_features, outputs, last="theta", **norm),
            config.family,
        )
        for at in inputs
    ]
    rate = config.dropout
    layers = [
        Convolution(width, 5, padding=2, pool=layer % 2 == 0, dropout=rate if layer else 0.0)
        for layer, width in enumerate(config.filters)
    ]
    outputs = MAX_DIGITS * street_numbers.NUM_CLASSES
    return StreetNumberNetwork(
        Layers(
            shape,
            layers,
            config.features,
            outputs,
            dropout=rate,
            transformers=transformers,
            **norm,
        )
    )


@torch.no_grad()
def load(network: nn.Module, variables: Mapping[str, Any]) -> None:
    """Copies the parameters and batch statistics of the same network in Flax to `network`.

    Raises:
        ValueError: `variables` are not those of the same network.
    """
    names = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    names |= {"mean": "running_mean", "var": "running_var"}
    root = "layers." if isinstance(network, StreetNumberNetwork) else ""
    given = {
        f"{root}{'.'.join(path[:-1])}.{names[path[-1]]}": np.asarray(value)
        for collection in ("params", "batch_stats")
        for path, value in flatten_dict(variables.get(collection, {})).items()
    }
    own = network.state_dict()
    expected = {name for name in own if not name.endswith("num_batches_tracked")}
    if given.keys() != expected:
        raise ValueError(f"not the same network: {sorted(given.keys() ^ expected)}")
    for name, value in given.items():
        if own[name].numel() != value.size:
            raise ValueError(f"{name}: {tuple(own[name].shape)} instead of {value.shape}")
        own[name].copy_(to_torch(_ordered(network, name.rpartition(".")[0], value)))


def _ordered(network: nn.Module, place: str, value: np.ndarray) -> np.ndarray:
    """Returns a Flax parameter with torch's order of axes: outputs and channels first."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    if value.ndim < 2:
        return value
    parent, _, name = place.rpartition(".")
    layers = network.get_submodule(parent)
    if isinstance(layers, Layers) and name == "Dense_0":
        # The first layer after the feature maps, which Flax flattens with the channels last.
        channels, height, width = layers.flattened
        maps = value.reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
        return maps.reshape(len(maps), -1)
    return value.T


def _norm(layer: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict({"norm": layer})
