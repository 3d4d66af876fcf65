"""Flax's convolution, lowered to what is fast on the platform at hand."""

import functools

import jax
from flax import linen as nn
from jax import lax

from stn_jax.convolution import convolution


def _conv_general_dilated(inputs, kernel, strides, padding, **options):
    """`lax.conv_general_dilated` as `nn.Conv` calls it, or the same by what is fast on the CPU."""
    plain = (
        jax.default_backend() == "cpu"
        and all(step == 1 for step in strides)
        and all(d == 1 for d in options["lhs_dilation"] + options["rhs_dilation"])
        and options["feature_group_count"] == 1
        and inputs.ndim == 4
    )
    if plain and isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    if plain and all(max(p) < k for p, k in zip(padding, kernel.shape, strict=False)):
        return convolution(inputs, kernel, padding)
    return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)


Conv = functools.partial(nn.Conv, conv_general_dilated=_conv_general_dilated)
"""`flax.linen.Conv`, same parameters and results."""
