"""The pixels that a coordinate reads along one axis, and their weights: the sampling kernels."""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from stn_jax.sampling.coordinates import apply_padding, clamp, reflect, to_pixels

Method = Literal["nearest", "bilinear", "bicubic"]
METHODS: tuple[Method, ...] = get_args(Method)

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}
"""The number of pixels that each method reads along one axis."""

_FRAMES = {"zeros": "constant", "border": "edge", "reflection": "symmetric"}


class Window(NamedTuple):
    """The neighbouring pixels that each coordinate reads along one axis of a framed image."""

    start: jax.Array
    """The index of the first one, int32."""
    weights: list[jax.Array]
    """The weights of all of them, one array for each."""


def window(
    coordinate: jax.Array, size: int, method: str, padding: str, align_corners: bool
) -> Window:
    """Returns the window of each coordinate, on an axis of `size` pixels and a frame.

    No window reaches beyond the frame of `add_frame`, even if the coordinate is NaN or infinite.
    """
    taps = TAPS[method]
    position = clamp(to_pixels(coordinate, size, align_corners), size, padding)
    if method == "nearest":
        # Padding comes before rounding: mirroring at an edge can change a pixel from even to odd.
        first = jnp.round(apply_padding(position, size, padding, align_corners))
        weights = [jnp.ones_like(position)]
    else:
        # The middle taps are floor and floor + 1, not ceil: at a whole pixel, the slope still
        # needs both.
        first = jnp.floor(position)
        t = position - first
        if padding == "reflection":
            # The point halfway between the taps is mirrored too, because at the border itself both
            # taps are the same pixel.
            start, middle, end = (
                reflect(first + step, size, align_corners) for step in (0, 0.5, 1)
            )
            first, t = jnp.floor(middle), jnp.where(end < start, 1 - t, t)
        first = first - (taps // 2 - 1)
        weights = [1 - t, t] if method == "bilinear" else _cubic(t)
    return Window(jnp.clip(first, -taps, size).astype(jnp.int32) + taps, weights)


def add_frame(image: jax.Array, method: str, padding: str, align_corners: bool) -> jax.Array:
    """Adds a frame of padding around an image [H, W, C], as wide as a window."""
    frame = _FRAMES[padding]
    if padding == "reflection" and align_corners:
        frame = "reflect"
    width = TAPS[method]
    return jnp.pad(image, ((width, width), (width, width), (0, 0)), frame)


def _cubic(t: jax.Array, a: float = -0.75) -> list[jax.Array]:
    """Returns the weights of the cubic convolution kernel (Keys, 1981) for four pixels."""

    def near(d: jax.Array) -> jax.Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: jax.Array) -> jax.Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]
