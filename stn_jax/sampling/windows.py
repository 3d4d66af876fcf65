"""The pixels that a coordinate reads along one axis, and their weights: the sampling kernels."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from stn_jax.errors import UserError
from stn_jax.sampling.coordinates import apply_padding, clamp, reflect, to_pixels

Method = Literal[
    "nearest", "linear", "cubic", "bspline2", "bspline3", "bspline4", "bspline5",
    "bilinear", "bicubic"
]  # fmt: skip
METHODS: tuple[Method, ...] = get_args(Method)

_OTHER_NAMES = {"bilinear": "linear", "bicubic": "cubic"}

SPLINE_ORDERS = (2, 3, 4, 5)

_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
_TAPS |= {f"bspline{order}": order + 1 for order in SPLINE_ORDERS}

_FRAMES = {"zeros": "constant", "border": "edge", "reflection": "symmetric", "wrap": "wrap"}


class Kernel(NamedTuple):
    """A sampling kernel, the same along all axes."""

    name: str
    """"nearest", "linear", "cubic" or "bspline2" to "bspline5"."""
    cubic_a: float = 0.0
    """The slope of "cubic" at a distance of 1 pixel; 0 for other kernels."""

    @property
    def taps(self) -> int:
        """The number of pixels that it weights along one axis."""
        return _TAPS[self.name]

    def weights(self, t: jax.Array) -> list[jax.Array]:
        """Returns the weights of the taps, given where a point is between those in the middle.

        Args:
            t: 0..1, from the middle tap on the left to that on the right; or, if there is a single
                tap in the middle, from half a pixel left of it to half a pixel right of it.
        """
        if self.name == "nearest":
            return [jnp.ones_like(t)]
        if self.name == "cubic":
            return _cubic(t, self.cubic_a)
        return bspline_weights(t, self.taps - 1)


def make_kernel(method: str, cubic_a: float) -> Kernel:
    """Returns the kernel of a method.

    Raises:
        UserError: there is no such method.
    """
    if method not in METHODS:
        raise UserError(f"method must be one of {METHODS}, got {method!r}")
    name = _OTHER_NAMES.get(method, method)
    if name != "cubic":
        return Kernel(name)
    try:
        slope = float(cubic_a)
    except TypeError as error:  # also of JAX, if it is traced
        raise UserError(f"cubic_a must be a number, got {cubic_a!r}") from error
    if not math.isfinite(slope):
        raise UserError(f"cubic_a must be finite, got {cubic_a!r}")
    return Kernel(name, slope)


class Axis(NamedTuple):
    """What positions along one axis of an image mean."""

    size: int
    """The number of pixels."""
    padding: str
    align_corners: bool
    in_pixels: bool
    """Whether coordinates are positions in pixels."""


class Window(NamedTuple):
    """The neighbouring pixels that each coordinate reads along one axis of a framed image."""

    start: jax.Array
    """The index of the first one, int32."""
    weights: list[jax.Array]
    """The weights of all of them, one array for each."""


def window(coordinate: jax.Array, axis: Axis, kernel: Kernel) -> Window:
    """Returns the window of each coordinate.

    No window reaches beyond the frame of `add_frame`, even if the coordinate is NaN or infinite.
    """
    size, padding, align_corners, in_pixels = axis
    taps = kernel.taps
    position = coordinate if in_pixels else to_pixels(coordinate, size, align_corners)
    position = clamp(position, size, padding)
    if kernel.name == "nearest":
        # Padding comes before rounding: mirroring at an edge can change a pixel from even to odd.
        first = jnp.round(apply_padding(position, size, padding, align_corners))
        t = jnp.zeros_like(position)
    else:
        # The middle taps are floor and floor + 1, not ceil: at a whole pixel, the slope still
        # needs both.
        lead = taps % 2 / 2
        first = jnp.floor(position + lead)
        t = position + lead - first
        if padding == "reflection":
            # The point halfway between the taps is mirrored too, because at the border itself both
            # taps are the same pixel.
            start, middle, end = (
                reflect(first + step - lead, size, align_corners) for step in (0, 0.5, 1)
            )
            first, t = jnp.floor(middle), jnp.where(end < start, 1 - t, t)
        elif padding == "wrap":
            first = first % size
        first = first - (taps - 1) // 2
    return Window(jnp.clip(first, -taps, size).astype(jnp.int32) + taps, kernel.weights(t))


def weight_outside(grid: jax.Array, axes: Sequence[Axis], kernel: Kernel) -> jax.Array:
    """Returns the sum of the weights of the taps outside the image, [...] for a grid [..., n].

    It is exactly 0 where all taps are inside.
    """
    inside = jnp.ones_like(grid[..., 0])
    for i, axis in enumerate(reversed(axes)):
        start, weights = window(grid[..., i], axis, kernel)
        pixels = (start + (tap - kernel.taps) for tap in range(kernel.taps))
        outside = (
            jnp.where((pixel >= 0) & (pixel < axis.size), 0, weight)
            for pixel, weight in zip(pixels, weights, strict=True)
        )
        inside = inside * (1 - sum(outside))
    return 1 - inside


def check_countable(sizes: Sequence[Any], kernel: Kernel) -> None:
    """Raises UserError if int32 cannot count the pixels of an image and of its frame."""
    is_symbolic = not all(isinstance(size, int) for size in sizes)  # for `jax.export`
    if not is_symbolic and math.prod(size + 2 * kernel.taps for size in sizes) >= 2**31:
        raise UserError(f"image of {tuple(sizes)} pixels is too large: sample parts of it")


def add_frame(image: jax.Array, axes: tuple[Axis, ...], kernel: Kernel) -> jax.Array:
    """Adds a frame of padding around an image [*S, C], as wide as a window."""
    return extend(image, (kernel.taps,) * len(axes), axes[0].padding, axes[0].align_corners)


def extend(
    image: jax.Array, margins: Sequence[int], padding: str, align_corners: bool
) -> jax.Array:
    """Continues an image [*S, C] as `padding` says, on both sides of each axis by a margin."""
    is_symbolic = not all(isinstance(size, int) for size in image.shape)  # for `jax.export`
    if not (is_symbolic and padding in ("reflection", "wrap")):
        mode = frame_mode(padding, align_corners)
        return jnp.pad(image, [*((margin,) * 2 for margin in margins), (0, 0)], mode)
    for axis, margin in enumerate(margins):
        size = image.shape[axis]
        pixel = jnp.arange(size + 2 * margin) - margin
        if padding == "wrap":
            pixel = pixel % size
        else:
            edge = 0 if align_corners else 1
            period = 2 * jax.core.max_dim(size - 1 + edge, 1)
            pixel = pixel % period
            pixel = jnp.minimum(pixel, period - edge - pixel)
        image = jnp.take(image, pixel, axis=axis, mode="clip")
    return image


def frame_mode(padding: str, align_corners: bool) -> str:
    """Returns the mode of `jnp.pad` and `np.pad` that continues an image as `padding` says."""
    return "reflect" if padding == "reflection" and align_corners else _FRAMES[padding]


def _cubic(t: jax.Array, a: float) -> list[jax.Array]:
    """Returns the weights of the cubic convolution kernel (Keys, 1981) for four pixels."""

    def near(d: jax.Array) -> jax.Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: jax.Array) -> jax.Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def bspline_weights(t: Any, order: int) -> list[Any]:
    """Returns the weights of a B-spline's taps (the recursion of Cox and de Boor).

    Args:
        t: a number or an array, as for `Kernel.weights`; the weights are of its dtype.
        order: the degree, at least 1.
    """
    weights = [1 - t, t]
    for k in range(2, order + 1):
        rising = [(t + (k - j)) * weights[j - 1] for j in range(1, k + 1)]
        falling = [((j + 1) - t) * weights[j] for j in range(k)]
        inner = zip(rising[:-1], falling[1:], strict=True)
        weights = [falling[0], *(up + down for up, down in inner), rising[-1]]
        weights = [weight / k for weight in weights]
    return weights
