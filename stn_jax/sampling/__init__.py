"""Differentiable image sampling: image, grid -> image (section 3.3 of the paper).

- `sampler.py`: the public functions `sample` and `sample_separable`.
- `splatting.py`: `splat`, the transpose of `sample`, and `inside`.
- `splines.py`: `spline_coefficients`, for the B-splines.
- `windows.py`: which pixels a point reads along one axis, and their weights: the sampling kernels.
- `paths.py`: the ways to compute a weighted sum of these pixels, and the choice among them.
- `operations.py`: the interpolation and its derivatives, made from a path.
- `interpolation.py`: the operations as JAX primitives.
- `coordinates.py`: conversion to pixels, clamping and padding of coordinates along one axis.

Images have one to three axes besides that of the channels; all of this is written for any number.

`paths.choose_path` chooses the path when a program is compiled for a platform:

- CPU: the C++ kernels of `stn_jax.native` in float32, otherwise "gathers", or "lines" for windows
  of more than 16 pixels.
- GPU: "packed" if all numbers that a point reads fit in one load, otherwise "stacked" or
  "lines"; "separable" for one channel and families such as "attention".
- TPU: "products" for small images, "packed" for large images of few channels, otherwise "gathers"
  or "stacked"; "separable" for families such as "attention".

All paths give the same results, up to rounding; only "products" and "separable" spread a NaN or an
infinity in an image to all values that are read from it. `sampling_path` forces a path.
"""

from stn_jax.sampling.coordinates import COORDINATES, PADDINGS, Coordinates, Padding
from stn_jax.sampling.interpolation import sampling_path
from stn_jax.sampling.sampler import sample, sample_separable
from stn_jax.sampling.splatting import inside, splat
from stn_jax.sampling.splines import spline_coefficients
from stn_jax.sampling.windows import METHODS, Method

__all__ = [
    "COORDINATES",
    "METHODS",
    "PADDINGS",
    "Coordinates",
    "Method",
    "Padding",
    "inside",
    "sample",
    "sample_separable",
    "sampling_path",
    "splat",
    "spline_coefficients",
]
