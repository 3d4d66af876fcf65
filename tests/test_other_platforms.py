"""Programs for GPUs and TPUs, lowered on a machine that has neither."""

import jax
import pytest

import stn_jax
from benchmarks.accelerators.programs import Step
from benchmarks.public_functions import FUNCTIONS, with_derivatives
from stn_jax import functional
from stn_jax.native import library

PLATFORMS = ("cuda", "tpu")
KERNEL = "stn_jax_"  # how the names of the kernels for the CPU begin


def text(traced, platform):
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives_need_no_kernel_of_the_cpu(name):
    function, operands = FUNCTIONS[name]
    traced = jax.jit(with_derivatives(function)).trace(*operands)
    for platform in PLATFORMS:
        assert KERNEL not in text(traced, platform)


def test_every_public_function_is_tried():
    tried = {name.partition(",")[0] for name in FUNCTIONS}
    grids = {name for name in stn_jax.__all__ if name.endswith("_grid")}  # in spatial_transform
    others = {"list_pretrained", "load_pretrained", "plain_operations", "conv_general_dilated"}
    assert {*stn_jax.__all__, *functional.__all__} - grids - others <= tried


def test_a_convolution_is_that_of_xla_and_not_the_form_for_the_cpu():
    function, operands = FUNCTIONS["convolution"]
    traced = jax.jit(with_derivatives(function)).trace(*operands)
    for platform in PLATFORMS:
        program = text(traced, platform)
        assert program.count("stablehlo.convolution") == 5  # values, tangents by both, gradients
        assert "stablehlo.dot" not in program


@pytest.mark.parametrize(
    "network", ["4.1 ST-CNN", pytest.param("4.2 ST-CNN Multi 64 px", marks=pytest.mark.stress)]
)
def test_training_steps_need_no_kernel_of_the_cpu(network):
    traced = Step(network, devices=1, dtype="float32").trace(jax.devices()[:1])
    assert KERNEL in text(traced, "cpu") or not library.is_available()
    for platform in PLATFORMS:
        assert KERNEL not in text(traced, platform)
