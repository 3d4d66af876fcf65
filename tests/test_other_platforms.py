"""Programs for GPUs and TPUs, lowered on a machine that has neither."""

import functools

import jax
import pytest
from flax import nnx

import stn_jax
import stn_jax.nnx
from benchmarks.accelerators.programs import Step
from stn_jax import functional, linen
from stn_jax.native import library
from stn_jax.sampling import METHODS, PADDINGS
from stn_jax.transforms import FAMILIES, make_family

PLATFORMS = ("cuda", "tpu")


def array(*shape):
    return jax.ShapeDtypeStruct(shape, "float32")


IMAGES, GRIDS, KERNEL = array(2, 8, 9, 3), array(2, 5, 6, 2), array(3, 3, 3, 4)


def linen_transformer(images):
    module = linen.SpatialTransformer(linen.FullyConnectedLocalisation("affine"))
    return module.init_with_output(jax.random.key(0), images)[0]


def nnx_transformer(images):
    localisation = stn_jax.nnx.FullyConnectedLocalisation(
        images.shape[1:], "affine", rngs=nnx.Rngs(0)
    )
    return stn_jax.nnx.SpatialTransformer(localisation)(images)


def spatial_transform(images, theta, family="affine"):
    return stn_jax.spatial_transform(images, theta, family)[0]


def of_family(name, function):
    family = make_family(name)
    return functools.partial(function, family=family), (IMAGES, array(2, *family.theta_shape))


def grid(theta, family):
    return jax.vmap(lambda one: family.grid(one, (5, 6), align_corners=False))(theta)


PROGRAMS = {
    "SpatialTransformer": (linen_transformer, (IMAGES,)),
    "nnx.SpatialTransformer": (nnx_transformer, (IMAGES,)),
    "average_pool": (lambda images: functional.average_pool(images, 2), (IMAGES,)),
    "convolution": (functional.convolution, (IMAGES, KERNEL)),
    "max_pool_2x2": (functional.max_pool_2x2, (IMAGES,)),
    **{
        f"sample {method} {padding}": (
            jax.vmap(functools.partial(stn_jax.sample, method=method, padding=padding)),
            (IMAGES, GRIDS),
        )
        for method in METHODS
        for padding in PADDINGS
    },
    **{f"spatial_transform {name}": of_family(name, spatial_transform) for name in FAMILIES},
}


def text(traced, platform):
    return traced.lower(lowering_platforms=(platform,)).as_text()


def with_derivatives(function):
    def run(*operands):
        values, tangents = jax.jvp(function, operands, operands)
        return values, tangents, jax.vjp(function, *operands)[1](values)

    return run


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_derivatives_need_no_kernel_of_the_cpu(name, platform):
    function, operands = PROGRAMS[name]
    program = text(jax.jit(with_derivatives(function)).trace(*operands), platform)
    assert "stn_jax_" not in program


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_convolution_is_one_of_xla_not_the_form_for_the_cpu(platform):
    function = jax.jit(with_derivatives(functional.convolution))
    program = text(function.trace(IMAGES, KERNEL), platform)
    assert program.count("stablehlo.convolution") == 5  # values, two tangents, two gradients
    assert "stablehlo.dot" not in program


@pytest.mark.parametrize("network", ["4.1 ST-CNN", "4.2 ST-CNN Multi 64 px"])
def test_training_steps_need_no_kernel_of_the_cpu(network):
    traced = Step(network, devices=1).trace(jax.devices()[:1])
    assert "stn_jax_" in text(traced, "cpu") or not library.is_available()
    for platform in PLATFORMS:
        assert "stn_jax_" not in text(traced, platform)
