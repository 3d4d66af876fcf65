import warnings

import jax
import jax.numpy as jnp
import pytest

import stn_jax
from stn_jax.layout import check_image, check_images


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 32, 64), (1, 8, 8)])
def test_channels_that_come_first_get_a_warning_and_a_remedy_that_works(shape):
    with pytest.warns(UserWarning, match="channels first") as told:
        check_image(shape, (2, 2, 2))
    remedy = str(told[0].message).partition("pass ")[2]
    images = jnp.zeros((5, *shape))
    with pytest.warns(UserWarning, match="channels first"):
        check_images(images.shape)
    with warnings.catch_warnings(action="error"):
        check_images(eval(remedy, {"jnp": jnp, "images": images}).shape)


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (3, 3, 64), (1, 1, 100), (1, 100, 3), (3, 50, 1), (32, 32, 48)]
)
def test_images_and_feature_maps_with_their_channels_last_get_none(shape):
    with warnings.catch_warnings(action="error"):
        check_image(shape, (2, 2, 2))
        check_images((5, *shape))


def test_a_module_warns_once():
    module = stn_jax.SpatialTransformer(stn_jax.linen.FullyConnectedLocalisation("affine"))
    with warnings.catch_warnings(record=True, action="default") as told:
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, 3, 9, 9)))
    assert len(told) == 1
