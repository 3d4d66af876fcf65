"""Tests of primitives whose operands are sharded; `test_sharding.py` runs them on 8 devices."""

import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import stn_jax
from stn_jax.functional import convolution
from stn_jax.linen import Conv
from stn_jax.native import library

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 6, 7, 4)).astype(np.float32)
GRIDS = RNG.uniform(-1.2, 1.2, (24, 4, 5, 2)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 4, 8)).astype(np.float32)
KERNELS = RNG.normal(size=(24, 3, 3, 4, 8)).astype(np.float32)


def convolve_one(image, kernel):
    return convolution(image[None], kernel)[0]


def sampled(axes=(0, 0), **options):
    return jax.vmap(lambda image, grid: stn_jax.sample(image, grid, **options), axes)


# The function, its operands, and which of them have the batch axis.
CASES = {
    "sample": (sampled(), (IMAGES, GRIDS), (1, 1)),
    "bicubic": (sampled(method="bicubic", padding="border"), (IMAGES, GRIDS), (1, 1)),
    "shared image": (sampled((None, 0)), (IMAGES[0], GRIDS), (0, 1)),
    "shared grid": (sampled((0, None)), (IMAGES, GRIDS[0]), (1, 0)),
    "convolution": (convolution, (IMAGES, KERNEL), (1, 0)),
    "mapped": (jax.vmap(convolve_one, (0, None)), (IMAGES, KERNEL), (1, 0)),
    "a kernel each": (jax.vmap(convolve_one), (IMAGES, KERNELS), (1, 1)),
}
case = pytest.mark.parametrize("name", CASES)


def mesh_of(kind, shape=(8,), names=("x",)):
    devices = jax.devices()[: np.prod(shape)]
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(shape), devices=devices)


def put(operands, mesh, specs):
    return [
        jax.device_put(x, NamedSharding(mesh, spec))
        for x, spec in zip(operands, specs, strict=True)
    ]


def value_and_gradients(function):
    def run(*operands):
        def loss(*operands):
            return jnp.sum(jnp.sin(function(*operands)))

        return function(*operands), jax.grad(loss, argnums=(0, 1))(*operands)

    return run


def collectives(function, operands):
    text = jax.jit(function).lower(*operands).compile().as_text()
    return set(re.findall(r" (all-[\w-]+|collective-[\w-]+|reduce-scatter)\(", text))


def assert_close(actual, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4), actual, expected
    )


def test_eight_devices_are_here():
    assert jax.device_count() == 8


@case
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_each_device_computes_its_own_examples(name, kind):
    function, operands, has_batch = CASES[name]
    split = put(operands, mesh_of(kind), [P("x") if yes else P() for yes in has_batch])
    both = value_and_gradients(function)
    value, gradients = jax.jit(both)(*split)
    assert_close((value, gradients), both(*operands))
    assert value.sharding.spec[0] == "x"
    for gradient, yes in zip(gradients, has_batch, strict=True):
        assert (gradient.sharding.spec[:1] == ("x",)) == bool(yes)
    assert not collectives(function, split)
    # The gradient of what all examples share is a sum over the devices.
    expected = set() if all(has_batch) else {"all-reduce"}
    assert collectives(both, split) == expected


@case
@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("gradient_is_inside", [True, False])
def test_shard_map_with_operands_that_are_shared(name, gradient_is_inside, check_vma):
    function, operands, has_batch = CASES[name]
    if gradient_is_inside and not check_vma and not all(has_batch):
        pytest.skip("without check_vma, the user must sum the gradient over the devices")
    mesh = mesh_of(AxisType.Auto)
    specs = tuple(P("x") if yes else P() for yes in has_batch)
    options = dict(mesh=mesh, in_specs=specs, check_vma=check_vma)
    both = value_and_gradients(function)
    if gradient_is_inside:
        split = jax.shard_map(both, out_specs=(P("x"), specs), **options)
    else:
        split = value_and_gradients(jax.shard_map(function, out_specs=P("x"), **options))
    assert_close(jax.jit(split)(*operands), both(*operands))


@pytest.mark.skipif(not library.is_available(), reason="without kernels")
def test_the_call_of_a_kernel_has_the_examples_of_one_device():
    function, operands, _ = CASES["sample"]
    split = put(operands, mesh_of(AxisType.Auto), (P("x"), P("x")))
    text = jax.jit(value_and_gradients(function)).lower(*split).compile().as_text()
    for kernel, shape in {
        "sample_read": "3,20,4",
        "sample_read_transpose": "3,6,7,4",
        "sample_shift_transpose": "3,20,2",
    }.items():
        target = re.escape(f'custom_call_target="{library.target_name(kernel)}"')
        assert re.search(rf"f32\[{shape}\]\S* custom-call\(.*{target}", text), kernel


TWO_AXES = [
    # Two axes of the mesh for the batch; then channels, rows of the grid, rows of the image; then
    # operands that disagree.
    ("sample", (P(("x", "y")), P(("y", "x"))), None),
    ("sample", (P("x", None, None, "y"), P("x")), {"all-reduce"}),
    ("sample", (P("x"), P("x", "y")), {"all-reduce"}),
    ("sample", (P("x", "y"), P("x")), None),
    ("sample", (P("x"), P("y")), None),
    ("convolution", (P("x"), P(None, None, None, "y")), {"all-reduce"}),
    ("convolution", (P("x", None, None, "y"), P(None, None, "y")), {"all-reduce"}),
    ("convolution", (P("x", "y"), P()), None),
    ("a kernel each", (P("x", None, None, "y"), P("x", None, None, "y")), {"all-reduce"}),
]


@pytest.mark.parametrize(("name", "specs", "expected"), TWO_AXES)
def test_two_axes_of_a_mesh(name, specs, expected):
    function, operands, _ = CASES[name]
    split = put(operands, mesh_of(AxisType.Auto, (4, 2), ("x", "y")), specs)
    both = value_and_gradients(function)
    assert_close(jax.jit(both)(*split), both(*operands))
    if expected is not None:
        assert collectives(both, split) == expected


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("spec", [P("x"), P("y"), P(("y", "x"))], ids=str)
def test_other_numbers_of_devices_than_powers_of_two(shape, spec):
    function, operands, _ = CASES["sample"]
    split = put(operands, mesh_of(AxisType.Auto, shape, ("x", "y")), (spec, spec))
    both = value_and_gradients(function)
    assert_close(jax.jit(both)(*split), both(*operands))
    assert not collectives(both, split)


def test_a_mesh_that_is_manual_in_one_axis_only():
    mesh = mesh_of(AxisType.Auto, (4, 2), ("x", "y"))
    function, operands, _ = CASES["sample"]
    both = value_and_gradients(function)
    split = jax.shard_map(both, mesh=mesh, in_specs=P("x"), out_specs=P("x"), axis_names={"x"})
    operands = put(operands, mesh, [P(("x", "y"))] * 2)
    assert_close(jax.jit(split)(*operands), both(*operands))


@case
def test_inside_a_mesh_with_explicit_axes(name):
    function, operands, has_batch = CASES[name]
    both = value_and_gradients(function)
    with jax.set_mesh(mesh_of(AxisType.Explicit)):
        specs = [P("x") if yes else P() for yes in has_batch]
        split = [jax.device_put(x, spec) for x, spec in zip(operands, specs, strict=True)]
        value, gradients = jax.jit(both)(*split)
    assert value.sharding.spec[0] == "x"
    assert_close((value, gradients), both(*operands))


def test_sharded_constants_and_whole_parameters_under_explicit_sharding():
    layer = Conv(4, (3, 3))

    def gradient(images):
        variables = layer.init(jax.random.key(0), images)
        return jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(layer.apply(v, images)))))(variables)

    with jax.set_mesh(mesh_of(AxisType.Explicit)):
        actual = gradient(jax.device_put(IMAGES, P("x")))
    assert_close(actual, gradient(IMAGES))


@pytest.mark.parametrize("name", ["sample", "convolution"])
def test_an_axis_that_must_be_whole_is_refused_under_explicit_sharding(name):
    function, operands, _ = CASES[name]
    split = put(operands, mesh_of(AxisType.Explicit, (2,)), (P(None, "x"), P()))
    with pytest.raises(ValueError, match=r"shard only their batch axes.*reshard"):
        function(*split)


@case
def test_plain_operations(name):
    function, operands, has_batch = CASES[name]
    split = put(operands, mesh_of(AxisType.Auto), [P("x") if yes else P() for yes in has_batch])
    both = value_and_gradients(function)
    with stn_jax.plain_operations():
        actual = jax.jit(both)(*split)
        text = jax.jit(both).lower(*split).as_text()
    assert "stn_jax" not in text
    assert "CustomSPMDPartitioning" not in text
    assert_close(actual, both(*operands))


@pytest.mark.parametrize("name", ["shared image", "convolution"])
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("mesh", ["explicit", "auto", "abstract"])
def test_programs_for_other_machines(name, platform, mesh):
    function, operands, has_batch = CASES[name]
    kind = AxisType.Explicit if mesh == "explicit" else AxisType.Auto
    where = AbstractMesh((8,), ("x",)) if mesh == "abstract" else mesh_of(kind)
    specs = [P("x") if yes else P() for yes in has_batch]
    shapes = [
        jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(where, spec))
        for x, spec in zip(operands, specs, strict=True)
    ]
    program = jax.jit(value_and_gradients(function))
    exported = jax.export.export(program, platforms=[platform])(*shapes)
    assert "custom_call @stn_jax" not in exported.mlir_module()
    if platform != "cpu":
        text = program.trace(*shapes).lower(lowering_platforms=(platform,)).as_text()
        assert "custom_call @stn_jax" not in text
        assert "complex<" not in text
    elif mesh != "abstract":
        # The results of the exported program.
        split = put(operands, where, specs)
        assert_close(jax.jit(exported.call)(*split), value_and_gradients(function)(*operands))
