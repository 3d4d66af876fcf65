"""The distortions of section 4.1, computed on the device with the library's grids and sampler.

A distortion is a pure function (image [28, 28, 1] in 0..1, key) -> image [canvas, canvas, 1]. Each
digit is resampled once, bilinearly: the whole distortion is one transformation, canvas -> digit.
Lengths are in pixels of the canvas, which are as large as the pixels of the digit.

With a third argument, a sampling grid `warp` [28, 28, 2], the digit is first read at that grid and
then distorted. The two grids are composed, so that the digit is still resampled only once. "none"
and "tc" have no grid to compose with: there, ink that the warp moves out of the digit's frame is
cut off.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from stn_jax.errors import check_choice
from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid, projective, projective_grid, regular_grid, tps, tps_grid

Distortion = Callable[..., Array]

DIGIT_SIZE = 28
CANVAS = {"none": 28, "centred": 42, "r": 28, "rts": 42, "p": 42, "e": 28, "tc": 60}
"""Height and width in pixels of each distortion's images."""


def _undistorted(image: Array, key: Array, warp: Array | None = None) -> Array:
    del key
    return image if warp is None else sample(image, warp)


def centred(image: Array, key: Array | None, warp: Array | None = None, *, canvas: int) -> Array:
    """Puts the digit, upright, in the middle of the canvas. [28, 28, 1] -> [canvas, canvas, 1]."""
    del key
    theta = canvas / DIGIT_SIZE * jnp.eye(2, 3)
    return _read(image, affine_grid(theta, (canvas, canvas)), warp)


def rotated(image: Array, key: Array, warp: Array | None = None) -> Array:
    """Applies R: rotation by an angle uniform in -90..90 degrees. [28, 28, 1] -> [28, 28, 1]."""
    angle = jax.random.uniform(key, minval=-jnp.pi / 2, maxval=jnp.pi / 2)
    theta = jnp.concatenate([_rotation(angle), jnp.zeros((2, 1))], axis=1)
    return _read(image, affine_grid(theta, (CANVAS["r"], CANVAS["r"])), warp)


def rotated_translated_scaled(image: Array, key: Array, warp: Array | None = None) -> Array:
    """Applies RTS: rotation by -45..45 degrees, scaling by 0.7..1.2 and a random location.

    [28, 28, 1] -> [42, 42, 1]. All draws are uniform. The location is drawn from those at which the
    digit's frame, scaled but not rotated, lies inside the canvas.
    """
    angle_key, scale_key, location_key = jax.random.split(key, 3)
    canvas = CANVAS["rts"]
    angle = jax.random.uniform(angle_key, minval=-jnp.pi / 4, maxval=jnp.pi / 4)
    scale = jax.random.uniform(scale_key, minval=0.7, maxval=1.2)
    room = 1 - scale * DIGIT_SIZE / canvas
    centre = room * jax.random.uniform(location_key, (2, 1), minval=-1.0, maxval=1.0)
    linear = canvas / (DIGIT_SIZE * scale) * _rotation(angle)
    shift = -jnp.matmul(linear, centre, precision="highest")
    theta = jnp.concatenate([linear, shift], axis=1)
    return _read(image, affine_grid(theta, (canvas, canvas)), warp)


def projected(image: Array, key: Array, warp: Array | None = None) -> Array:
    """Applies P: scaling by 0.75..1, then a projective transformation.

    [28, 28, 1] -> [42, 42, 1]. The projective transformation moves each corner of the canvas by a
    normal draw with a sigma of 5 pixels.
    """
    scale_key, corner_key = jax.random.split(key)
    canvas = CANVAS["p"]
    scale = jax.random.uniform(scale_key, minval=0.75, maxval=1.0)
    moves = 5.0 * jax.random.normal(corner_key, (4, 2)) / (canvas / 2)
    canvas_to_digit = jnp.diag(jnp.array([canvas, canvas, DIGIT_SIZE * scale]))
    theta = projective.compose(
        canvas_to_digit, projective.inverse(projective.from_corners(projective.CORNERS + moves))
    )
    return _read(image, projective_grid(theta, (canvas, canvas)), warp)


def elastic(image: Array, key: Array, warp: Array | None = None) -> Array:
    """Applies E: scaling by 0.75..1, then a thin plate spline with 4x4 control points.

    [28, 28, 1] -> [28, 28, 1]. Each control point is moved by a normal draw with a sigma of 1.5
    pixels; the move determines where the point is read.
    """
    scale_key, point_key = jax.random.split(key)
    canvas = CANVAS["e"]
    scale = jax.random.uniform(scale_key, minval=0.75, maxval=1.0)
    points = jnp.asarray(tps.control_points(4), jnp.float32)
    moves = 1.5 * jax.random.normal(point_key, points.shape) / (canvas / 2)
    # A spline is linear in theta, so the scaling of the digit can be folded into it.
    return _read(image, tps_grid((points + moves) / scale, (canvas, canvas)), warp)


NUM_PATCHES, PATCH_SIZE = 6, 6


def translated_cluttered(
    image: Array, key: Array, warp: Array | None = None, *, others: Array
) -> Array:
    """Applies TC: puts the digit at a random place, with six 6x6 patches cropped from other digits.

    [28, 28, 1] -> [60, 60, 1]. Places are whole pixels, so only `warp` resamples. Patches come from
    the middle 20x20 pixels, which hold the digit's ink. Where things overlap, the brighter one is
    shown.

    Args:
        image: [28, 28, 1], 0..1.
        key: the random key.
        warp: see the module's docstring; the clutter is not warped.
        others: [N, 28, 28, 1], 0..1, the digits that patches are cropped from. If they include the
            image, one patch in N comes from the image itself.
    """
    place_key, digit_key, crop_key, patch_key = jax.random.split(key, 4)
    canvas = CANVAS["tc"]
    margin = (DIGIT_SIZE - 20) // 2
    which = jax.random.randint(digit_key, (NUM_PATCHES,), 0, len(others))
    crops = jax.random.randint(
        crop_key, (NUM_PATCHES, 2), margin, DIGIT_SIZE - margin - PATCH_SIZE + 1
    )
    corners = jax.random.randint(patch_key, (NUM_PATCHES, 2), 0, canvas - PATCH_SIZE + 1)
    place = jax.random.randint(place_key, (2,), 0, canvas - DIGIT_SIZE + 1)

    def paste(content: Array, corner: Array) -> Array:
        empty = jnp.zeros((canvas, canvas, 1), image.dtype)
        return jax.lax.dynamic_update_slice(empty, content, (corner[0], corner[1], 0))

    def cluttering_patch(digit: Array, crop: Array, corner: Array) -> Array:
        patch = jax.lax.dynamic_slice(
            others[digit], (crop[0], crop[1], 0), (PATCH_SIZE, PATCH_SIZE, 1)
        )
        return paste(patch, corner)

    patches = jax.vmap(cluttering_patch)(which, crops, corners)
    if warp is not None:
        image = sample(image, warp)
    return jnp.maximum(paste(image, place), patches.max(axis=0))


def make_distortion(name: str, others: Array) -> Distortion:
    """Returns the distortion called `name`.

    It is "r", "rts", "p", "e" or "tc", or one that leaves the digit upright: "none", or "centred",
    with the canvas of "rts".

    Args:
        name: a key of `CANVAS`.
        others: [N, 28, 28, 1], 0..1, digits to crop clutter from.

    Raises:
        UserError: if there is no such distortion.
    """
    check_choice(name, CANVAS, "config.data.distortion")
    distortions: dict[str, Distortion] = {
        "none": _undistorted,
        "centred": functools.partial(centred, canvas=CANVAS["centred"]),
        "r": rotated,
        "rts": rotated_translated_scaled,
        "p": projected,
        "e": elastic,
        "tc": functools.partial(translated_cluttered, others=others),
    }
    return distortions[name]


def _read(image: Array, grid: Array, warp: Array | None) -> Array:
    if warp is not None:
        # Displacements, unlike positions, extend beyond the frame with their values at its edge.
        moves = warp - regular_grid((DIGIT_SIZE, DIGIT_SIZE))
        grid = grid + sample(moves, grid, padding="border")
    return sample(image, grid)


def _rotation(angle: Array) -> Array:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.array([[cos, -sin], [sin, cos]])
