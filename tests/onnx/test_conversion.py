"""Functions give the same values in onnxruntime as in JAX, for batches of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

import stn_jax
from stn_jax.errors import UserError
from stn_jax.functional import average_pool, max_pool_2x2
from stn_jax.linen import BatchNorm, ConvLocalisation
from stn_jax.sampling import PADDINGS
from stn_jax.transforms.tps import control_points

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from stn_jax.onnx import to_onnx  # noqa: E402

THETA = jnp.array([[0.9, 0.3, 0.1], [-0.2, 1.1, 0.3]])


def warped(images, theta=THETA, family="affine", **options):
    # Also theta depends on the input, as in a network.
    thetas = theta + 0.1 * images.mean(axis=(1, 2, 3)).reshape(-1, *[1] * theta.ndim)
    return stn_jax.spatial_transform(images, thetas, family, **options)[0]


class Layers(nn.Module):
    """Layers that classifiers of one's own may have."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3), strides=(2, 1), padding="SAME")(x)
        x = BatchNorm()(nn.gelu(x), train=False)
        x = nn.Conv(6, (3, 3), feature_group_count=2, kernel_dilation=(1, 2), padding="VALID")(x)
        x = nn.leaky_relu(nn.GroupNorm(num_groups=3)(x))
        x = nn.max_pool(x, (3, 2), strides=(2, 2), padding="SAME") + nn.avg_pool(
            x, (2, 2), strides=(2, 2), padding="SAME"
        )
        x = nn.LayerNorm()(x.reshape(x.shape[0], -1, x.shape[-1]))
        x = nn.MultiHeadDotProductAttention(num_heads=2)(nn.DenseGeneral(4)(x))
        return nn.log_softmax(nn.Dense(3)(nn.silu(x).mean(axis=1)))


def of_module(module, shape):
    variables = module.init(jax.random.key(0), jnp.zeros((1, *shape)))
    keys = iter(jax.random.split(jax.random.key(1), 100))
    noisy = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), variables)
    return lambda images: module.apply(noisy, images)


def halved_until_small(x):
    return lax.fori_loop(0, 3, lambda i, x: x / (2 + i), x)


FUNCTIONS = {
    "layers": (of_module(Layers(), (9, 11, 2)), (9, 11, 2)),
    "default transformer": (
        of_module(stn_jax.SpatialTransformer(ConvLocalisation(), "similarity"), (12, 14, 1)),
        (12, 14, 1),
    ),
    "pooling of this library": (lambda x: max_pool_2x2(average_pool(x, 2)), (9, 13, 3)),
    "larger of two": (
        lambda x: (
            jnp.maximum(x[:, ::2], x[:, 1::2])[..., ::2]
            + jnp.maximum(x[:, 1::2, :, 1::2], x[:, ::2, :, ::2])
            + jnp.maximum(x[..., ::2], x[..., 1::2])[:, ::2]
        ),
        (6, 4, 2),
    ),
    "larger of two in many dimensions": (
        lambda x: jnp.maximum(x[:, ::2], x[:, 1::2]),
        (4, 2, 2, 2, 2),
    ),
    "fixed grid": (
        jax.vmap(lambda image: stn_jax.sample(image, stn_jax.affine_grid(THETA, (4, 5)))),
        (6, 7, 2),
    ),
    "output size, corners": (
        lambda x: warped(x, output_shape=(5, 3), align_corners=True),
        (8, 9, 2),
    ),
    "attention": (lambda x: warped(x, jnp.array([0.7, 0.1, 0.2]), "attention"), (8, 9, 2)),
    "tps": (lambda x: warped(x, control_points(4) * 0.9, "tps"), (8, 9, 2)),
    "projective": (lambda x: warped(x, jnp.eye(3) + 0.1, "projective"), (8, 9, 2)),
    "sorted": (lambda x: jnp.sort(x.reshape(-1, 12), axis=1)[:, ::-1], (3, 4, 1)),
    "ranks": (
        jax.vmap(lambda row: jnp.searchsorted(jnp.sort(row), row).astype(jnp.float32)),
        (9,),
    ),
    "products": (lambda x: jnp.einsum("bij,bkj,il->blk", x, x, jnp.ones((3, 2))), (3, 4)),
    "pieces": (
        lambda x: jnp.concatenate([*jnp.split(x, 2, axis=2), x[:, 1:4:2][:, :, 2:]], 1),
        (6, 4),
    ),
    "places": (lambda x: x[:, 1:4, ::2, 0] + x[:, 4:1:-1, 1:3, 1], (6, 4, 3)),
    "places of all": (
        lambda x: jnp.concatenate([x[:, ::2, 1::2], x[:, :1, jnp.array([2, 0])]], 1),
        (5, 4),
    ),
    "one place": (lambda x: x[:, 2, -1], (5, 4)),
    "loop": (halved_until_small, (5,)),
    "whole numbers": (lambda x: (jnp.argmax(x, axis=1) % 3 + 1) ** 2 + 0.5, (7,)),
    "choices": (lambda x: jnp.where((x > 0) & (x != 1), jnp.clip(x, -1, 0.5), jnp.sign(x)), (7,)),
} | {
    f"{method}, {padding}": (
        lambda x, method=method, padding=padding: warped(x, method=method, padding=padding),
        (6, 7, 2),
    )
    for method in ("nearest", "linear", "cubic")
    for padding in PADDINGS
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_jax(name):
    function, shape = FUNCTIONS[name]
    session = runtime.InferenceSession(to_onnx(function, ("b", *shape)))
    for count in (1, 3):
        images = np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)
        (found,) = session.run(None, {"input": images})
        np.testing.assert_allclose(found, jax.jit(function)(images), rtol=1e-5, atol=1e-5)


def test_relu_and_pooling_become_an_operator_each():
    def layers(x):
        return max_pool_2x2(jax.nn.relu(max_pool_2x2(x)))

    model = onnx.load_from_string(to_onnx(layers, ("b", 8, 12, 3)))
    operators = [node.op_type for node in model.graph.node if node.op_type != "Transpose"]
    assert operators == ["MaxPool", "Relu", "MaxPool", "Identity"]


def test_a_fixed_batch_and_integers_are_possible():
    model = to_onnx(lambda x: x.astype(jnp.float32) / 255, (2, 3), np.uint8, output_name="share")
    session = runtime.InferenceSession(model)
    pixels = np.array([[0, 51, 255]] * 2, np.uint8)
    (found,) = session.run(["share"], {"input": pixels})
    np.testing.assert_allclose(found, pixels / np.float32(255))


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda x: warped(x, method="bspline5"), (6, 7, 2), "the operation gather "),
        (jnp.linalg.inv, (3, 3), "the operation lu "),
        (lambda x: x.astype(jnp.bfloat16), (3,), "bfloat16 is not supported: compute in float32"),
        (lambda x: (x, x), (3,), "must return one array"),
        (lambda x: lax.map(jnp.sin, x.T), (3,), "a loop over the rows"),
        (lambda x: jnp.zeros((2 * x.shape[0], 3)) + x.sum(), (3,), "the size 2*b"),
    ],
)
def test_what_is_not_supported_is_named_in_one_line(function, shape, message):
    with pytest.raises(UserError, match=r"^ONNX: ") as told:
        to_onnx(function, ("b", *shape))
    assert message in str(told.value) and "\n" not in str(told.value)
