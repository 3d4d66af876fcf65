"""Differentiable image sampling: image, grid -> image (section 3.3 of the paper).

- `sampler.py`: the public function `sample`, and the nearest and bicubic kernels in plain JAX.
- `bilinear.py`: the bilinear kernel as JAX primitives. On the CPU they call the C++ kernels of
  `stn_jax.native`; on other devices, or without a C++ compiler, they use plain JAX.
- `coordinates.py`: conversion to pixels, clamping and padding of coordinates along one axis.
"""

from stn_jax.sampling.coordinates import PADDINGS, Padding
from stn_jax.sampling.sampler import METHODS, Method, sample

__all__ = ["METHODS", "PADDINGS", "Method", "Padding", "sample"]
