"""Localisation networks in Flax NNX: feature map -> theta (paper, section 3.1).

NNX creates parameters in the constructor, so these modules take the shape of their input there.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from stn_jax.functional.pooling import average_pool, max_pool_2x2
from stn_jax.functional.sizes import fitting_padding, flat_features
from stn_jax.layout import check_images
from stn_jax.nnx.layers import Conv
from stn_jax.transforms import Family, FamilyName, make_family


class ThetaRegression(nnx.Module):
    """The last layer of a localisation network: features [B, F] -> theta [B, *theta_shape].

    Its weights start at zero and its bias at the identity transformation, so training starts with
    an unchanged image. Theta is never of half precision, which is too coarse for coordinates.

    Args:
        in_features: F, the number of features.
        family: the family of transformations, by name or as a `Family`.
        rngs: the random keys that initialise the parameters.

    >>> ThetaRegression(8, "affine", rngs=nnx.Rngs(0))(jnp.ones((1, 8))).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """

    def __init__(self, in_features: int, family: FamilyName | Family, *, rngs: nnx.Rngs):
        self.family = make_family(family)
        identity = jnp.asarray(self.family.identity)
        self.linear = nnx.Linear(
            in_features,
            self.family.num_params,
            kernel_init=nnx.initializers.zeros,
            bias_init=lambda key, shape, dtype=jnp.float32: identity.astype(dtype).reshape(shape),
            rngs=rngs,
        )

    def __call__(self, features: Array) -> Array:
        return jax.vmap(self.family.theta)(self.linear(features))


class FullyConnectedLocalisation(nnx.Module):
    """Fully connected layers with ReLU, followed by `ThetaRegression`.

    The paper uses the widths (32, 32, 32) for ST-FCN and (32, 32) for ST-CNN Multi. Inputs
    [B, H, W, C] give theta [B, *theta_shape]. The module's `train()` and `eval()` set the mode
    of batch normalisation.

    Args:
        input_shape: (H, W, C) of the inputs; or (W, C) or (D, H, W, C), for which a name of a
            family stands for that of one or three dimensions.
        family: the family of transformations, by name or as a `Family`.
        features: the widths of the hidden layers.
        batch_norm: whether hidden layers are batch-normalised.
        axis_name: the name of the mapped axis, such as that of `jax.pmap`, over which batch
            statistics are averaged.
        dtype: the dtype of the hidden layers; theta is float32.
        rngs: the random keys that initialise the parameters.

    >>> network = FullyConnectedLocalisation((28, 28, 1), "translation", rngs=nnx.Rngs(0))
    >>> network(jnp.ones((4, 28, 28, 1))).shape
    (4, 2)
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        family: FamilyName | Family = "affine",
        *,
        features: Sequence[int] = (32, 32, 32),
        batch_norm: bool = False,
        axis_name: str | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.family = make_family(family, ndim=len(input_shape) - 1)
        widths = (flat_features(type(self).__name__, input_shape, features), *features)
        self.dense = _dense_layers(widths, dtype, rngs)
        self.norms = _norms(widths[1:] if batch_norm else (), axis_name, dtype, rngs)
        self.theta = ThetaRegression(widths[-1], self.family, rngs=rngs)

    def __call__(self, inputs: Array) -> Array:
        check_images(inputs.shape, type(self).__name__, self.family.ndim)
        x = inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))
        for layer, dense in enumerate(self.dense):
            x = _activated(dense(x), self.norms, layer)
        return self.theta(x)


class ConvLocalisation(nnx.Module):
    """The paper's convolutional localisation networks; by default that of ST-CNN, section 4.1.

    It consists of average pooling by `downsample`, 5x5 convolutions with 2x2 max-pooling between
    them, fully connected layers, and `ThetaRegression`. All hidden layers have ReLU. Max-pooling
    keeps an odd last row or column; average pooling drops it. Inputs [B, H, W, C] give theta
    [B, *theta_shape]. The module's `train()` and `eval()` set the mode of batch normalisation.

    Args:
        input_shape: (H, W, C) of the inputs; or (W, C) or (D, H, W, C), for which a name of a
            family stands for that of one or three dimensions.
        family: the family of transformations, by name or as a `Family`.
        filters: the numbers of filters of the convolutions.
        features: the widths of the fully connected layers.
        downsample: the size and stride of the average pooling; 1 for none.
        padding: the padding of the convolutions, "VALID" or "SAME"; None for "VALID" if the images
            are large enough for it, by default as of 26x26 pixels, otherwise "SAME".
        batch_norm: whether hidden layers are batch-normalised.
        axis_name: the name of the mapped axis, such as that of `jax.pmap`, over which batch
            statistics are averaged.
        dtype: the dtype of the hidden layers; theta is float32.
        rngs: the random keys that initialise the parameters.

    Raises:
        UserError: an option is out of range, or the input is too small for the convolutions.

    >>> network = ConvLocalisation((28, 28, 1), "affine", rngs=nnx.Rngs(0))
    >>> network(jnp.ones((4, 28, 28, 1))).shape
    (4, 2, 3)
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        family: FamilyName | Family = "affine",
        *,
        filters: Sequence[int] = (20, 20),
        features: Sequence[int] = (20,),
        downsample: int = 2,
        padding: str | None = None,
        batch_norm: bool = False,
        axis_name: str | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.family = make_family(family, ndim=len(input_shape) - 1)
        padding = padding or fitting_padding(input_shape, filters=filters, downsample=downsample)
        flat = flat_features(
            *(type(self).__name__, input_shape, features),
            filters=filters,
            downsample=downsample,
            padding=padding,
        )
        self.downsample = downsample
        channels = (input_shape[-1], *filters)
        self.convolutions = nnx.List(
            Conv(before, after, (5,) * self.family.ndim, padding=padding, dtype=dtype, rngs=rngs)
            for before, after in itertools.pairwise(channels)
        )
        widths = (flat, *features)
        self.dense = _dense_layers(widths, dtype, rngs)
        normalised = (*filters, *features) if batch_norm else ()
        self.norms = _norms(normalised, axis_name, dtype, rngs)
        self.theta = ThetaRegression(widths[-1], self.family, rngs=rngs)

    def __call__(self, inputs: Array) -> Array:
        check_images(inputs.shape, type(self).__name__, self.family.ndim)
        x = inputs
        if self.downsample > 1:
            x = average_pool(x, self.downsample)
        for layer, convolution in enumerate(self.convolutions):
            if layer > 0:
                x = max_pool_2x2(x)
            x = _activated(convolution(x), self.norms, layer)
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        for layer, dense in enumerate(self.dense, start=len(self.convolutions)):
            x = _activated(dense(x), self.norms, layer)
        return self.theta(x)


def _dense_layers(widths: Sequence[int], dtype: DTypeLike | None, rngs: nnx.Rngs) -> nnx.List[Any]:
    return nnx.List(
        nnx.Linear(before, after, dtype=dtype, rngs=rngs)
        for before, after in itertools.pairwise(widths)
    )


def _norms(
    widths: Sequence[int], axis_name: str | None, dtype: DTypeLike | None, rngs: nnx.Rngs
) -> nnx.List[Any]:
    return nnx.List(
        nnx.BatchNorm(width, momentum=0.9, axis_name=axis_name, dtype=dtype, rngs=rngs)
        for width in widths
    )


def _activated(x: Array, norms: nnx.List[Any], layer: int) -> Array:
    return nnx.relu(norms[layer](x) if len(norms) else x)
