import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_jax.errors import UserError
from stn_jax.sampling import sample
from stn_jax.transforms import FAMILIES, Motion, affine_grid, grid_motion, make_family

SHAPE = (20, 30)
PICTURE = np.random.default_rng(0).uniform(size=(20, 20, 1)).astype(np.float32)


def theta_of(motion, source_shape, align_corners=False):
    """Returns the affine theta [2, 3] of a motion, composed of its parts in pixels."""
    turn, slant = np.deg2rad(motion.turn), np.deg2rad(motion.slant)
    mirror = np.diag([-1.0 if motion.mirrored else 1.0, 1.0])
    scale = np.diag([motion.scale_x, motion.scale_y])
    lean = np.array([[1, -np.tan(slant)], [0, 1]])  # what is above (y < 0) goes to the right
    # On the screen, y points down: a turn to the left moves the right edge up.
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    sides = np.diag(np.array(source_shape[::-1]) - align_corners)
    of_the_picture = np.linalg.inv(sides) @ rotation @ lean @ scale @ mirror @ sides
    shift = 2 * np.array([motion.right, motion.down])
    linear = np.linalg.inv(of_the_picture)
    return np.hstack([linear, -linear @ shift[:, None]]).astype(np.float32)


@given(
    motion=st.builds(
        Motion,
        mirrored=st.booleans(),
        scale_x=st.floats(0.2, 5),
        scale_y=st.floats(0.2, 5),
        slant=st.floats(-60, 60),
        turn=st.floats(-179, 179),
        right=st.floats(-1, 1),
        down=st.floats(-1, 1),
        bend=st.just(0.0),
    ),
    source_shape=st.sampled_from([(20, 20), (30, 10)]),
    align_corners=st.booleans(),
)
def test_the_parts_of_a_composition_are_found(motion, source_shape, align_corners):
    theta = theta_of(motion, source_shape, align_corners)
    grid = affine_grid(theta, (5, 7), align_corners=align_corners)
    found = grid_motion(grid, source_shape, align_corners=align_corners)
    tolerance = 1e-5 * np.linalg.cond(theta[:, :2]) * max(1, np.abs(theta).max())
    np.testing.assert_allclose(
        np.array(found, float), np.array(motion, float), rtol=tolerance, atol=100 * tolerance
    )


PICTURES = {
    "turned 90 degrees left": np.rot90,
    "turned 90 degrees right": lambda picture: np.rot90(picture, -1),
    "mirrored left to right": np.fliplr,
    "moved 25% right": lambda picture: np.roll(picture, 5, axis=1),
    "moved 10% left": lambda picture: np.roll(picture, -2, axis=1),
    "moved 25% down": lambda picture: np.roll(picture, 5, axis=0),
    "moved 5% right and 10% up": lambda picture: np.roll(picture, (-2, 1), axis=(0, 1)),
    "scale 2.00": lambda picture: np.kron(picture[5:15, 5:15], np.ones((2, 2, 1))),
    "unchanged": lambda picture: picture,
}


@pytest.mark.parametrize("words", PICTURES)
def test_the_words_say_what_happens_to_the_picture(words):
    """The theta is found from a turned, moved ... picture, not from the numbers of a motion."""
    y, x = np.mgrid[0:20, 0:20] * 0.1 - 0.95
    places = np.stack([x, y], axis=-1)
    grid = PICTURES[words](places)  # the place in the picture that each pixel was read at
    if words.startswith("moved"):  # what enters is read outside
        grid = places + np.median(grid - places, axis=(0, 1))
    if words.startswith("scale"):
        grid = places / 2
    assert str(grid_motion(grid, (20, 20))) == words
    expected = PICTURES[words](PICTURE)
    method = "nearest" if words.startswith("scale") else "bilinear"
    output = np.asarray(sample(PICTURE, jnp.asarray(grid), method=method))
    inside = np.all(np.abs(grid) < 1, axis=-1)
    np.testing.assert_allclose(output[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("attention", (0.5, 0.25, 0.0), "scale 2.00, moved 25% left"),
        ("translation", (0.0, -0.5), "moved 25% down"),
        ("similarity", (1.25, 0.5, 0.0, 0.0), "turned 29 degrees left, scale 0.80"),
        ("affine", (1.0, 0.5, 0, 0, 1, 0), "slanted 37 degrees right"),
        ("affine", (0.5, 0, 0, 0, 1, 0), "scale 2.00 across and 1.00 down"),
        ("projective", (1, 0, 0, 0, 1, 0, 0.1, 0), "bent by up to 6%"),
    ],
)
def test_every_family_is_described_on_pictures_of_any_shape(name, params, words):
    described = str(make_family(name).motion(params, source_shape=SHAPE))
    assert words in described


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_identity_leaves_the_picture_unchanged(name, align_corners):
    family = make_family(name)
    options = {"source_shape": SHAPE, "align_corners": align_corners}
    assert str(family.motion(family.identity, **options)) == "unchanged"


def test_a_bent_grid_is_told_from_a_straight_one():
    family = make_family("tps")
    points = np.array(family.identity).reshape(16, 2)
    straight, bent = points @ np.array([[0.8, 0.1], [-0.1, 0.8]]), points.copy()
    bent[5] += 0.3
    assert family.motion(straight, source_shape=SHAPE).bend < 1e-3
    assert 0.05 < family.motion(bent, source_shape=SHAPE).bend < 0.3


def test_motions_of_a_batch_under_jit():
    family = make_family("similarity")
    thetas = jnp.array([[1.0, 0.1, 0.0, 0.0], [0.5, -0.2, 0.3, 0.0]])
    motions = jax.jit(jax.vmap(lambda theta: family.motion(theta, source_shape=SHAPE)))(thetas)
    for place, theta in enumerate(thetas):
        one = family.motion(theta, source_shape=SHAPE)
        np.testing.assert_allclose([x[place] for x in motions], one, atol=1e-4)


@pytest.mark.parametrize("theta", [np.zeros((2, 3)), np.full((2, 3), np.nan)])
def test_a_theta_without_an_inverse_is_called_collapsed(theta):
    assert "collapsed" in str(make_family("affine").motion(theta, source_shape=SHAPE))


@pytest.mark.parametrize("shape", [(4, 2), (1, 5, 2), (5, 1, 2), (4, 4, 3)])
def test_what_is_no_grid_is_refused(shape):
    with pytest.raises(UserError, match=r"\(H', W', 2\) of at least 2x2"):
        grid_motion(np.zeros(shape), SHAPE)
