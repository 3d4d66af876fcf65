"""What is compiled: the sampler in each of its forms, and whole training steps."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

import stn_jax
from benchmarks import jax_samplers, networks
from benchmarks.workloads import Workload
from stn_jax.experiments.data.examples import Batch, Examples, Preprocessing
from stn_jax.experiments.distorted_mnist import preprocessing as distorted_mnist
from stn_jax.experiments.distorted_mnist.distortions import DIGIT_SIZE
from stn_jax.experiments.street_numbers import preprocessing as street_numbers
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.shapes import picture_shape
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.steps import DEVICES, train_step
from stn_jax.sampling import sampling_path

FORMS = ("library", "gathers", "stacked", "packed", "products", "map_coordinates")
"""The ways to sample that are compared: the library's choice, each of its paths, and JAX's own."""

PASSES = ("forward", "image gradient", "grid gradient")
"""The gradients are computed alone, without the values."""

STEPS: dict[str, tuple[Callable[[], ConfigDict], int]] = {
    "4.1 CNN": (lambda: networks.section_4_1("cnn", "paper"), 256),
    "4.1 ST-CNN": (lambda: networks.section_4_1("st_cnn_affine", "paper"), 256),
    "4.2 CNN 64 px": (lambda: networks.section_4_2("cnn", 64, "paper"), 128),
    "4.2 ST-CNN Multi 64 px": (lambda: networks.section_4_2("multi", 64, "paper"), 128),
}
"""Configs and batch sizes of the training steps."""


class Sampling(NamedTuple):
    """One pass of one form of the sampler."""

    workload: Workload
    direction: str
    form: str
    dtype: str = "float32"

    def trace(self, devices: Sequence[jax.Device]) -> jax.stages.Traced:
        where = jax.sharding.SingleDeviceSharding(devices[0])
        images = jax.ShapeDtypeStruct(self.workload[:4], self.dtype, sharding=where)
        grids = jax.ShapeDtypeStruct((*self.workload[:3], 2), "float32", sharding=where)
        read = jax.vmap(self._read)

        def image_gradient(images, grids, values):
            return jax.vjp(lambda images: read(images, grids), images)[1](values)

        def grid_gradient(images, grids, values):
            return jax.vjp(lambda grids: read(images, grids), grids)[1](values)

        if self.direction == "forward":
            return jax.jit(read).trace(images, grids)
        gradient = image_gradient if self.direction == "image gradient" else grid_gradient
        return jax.jit(gradient).trace(images, grids, images)

    def _read(self, image, grid):
        if self.form == "library":
            return stn_jax.sample(image, grid)
        if self.form == "map_coordinates":
            return jax_samplers.by_map_coordinates(image, grid)
        with sampling_path(self.form):
            return stn_jax.sample(image, grid)


class Step(NamedTuple):
    """A training step: preprocessing on the device, both passes, and the optimiser's update."""

    network: str
    devices: int
    dtype: str

    def trace(self, devices: Sequence[jax.Device]) -> jax.stages.Traced:
        make_config, batch_size = STEPS[self.network]
        config = make_config()
        config.model.dtype = self.dtype
        network = networks.make(config)
        pictures, preprocessing = _data(config)
        step = functools.partial(
            train_step,
            model=network.model,
            optimizer=network.optimizer,
            labels=find_task(config).labels(config),
            preprocess=preprocessing.train,
            seed=0,
        )
        mesh = Mesh(np.array(devices), (DEVICES,))
        everywhere, split = PartitionSpec(), PartitionSpec(DEVICES)
        on_devices = jax.shard_map(
            step, mesh=mesh, in_specs=(everywhere, split), out_specs=everywhere, check_vma=False
        )

        def put(tree, spec):
            where = NamedSharding(mesh, spec)
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree
            )

        digits = (MAX_DIGITS,) if config.task == "street_numbers" else ()
        batch = Batch(
            images=np.empty((batch_size, *pictures), np.uint8),
            labels=np.empty((batch_size, *digits), np.int32),
            ids=np.empty(batch_size, np.int32),
            weights=np.empty(batch_size, np.float32),
        )
        state = jax.eval_shape(network.initial_state)
        jitted = jax.jit(on_devices, donate_argnums=0)
        return jitted.trace(put(state, everywhere), put(batch, split))


Program = Sampling | Step


def _data(config: ConfigDict) -> tuple[tuple[int, ...], Preprocessing]:
    """Returns the shape of stored pictures and the preprocessing, without reading any data."""
    if config.task == "street_numbers":
        return (*picture_shape(config.data), 3), street_numbers.make_preprocessing(config.data)
    shape = DIGIT_SIZE, DIGIT_SIZE, 1
    clutter = np.zeros((distorted_mnist.CLUTTER_DIGITS, *shape), np.uint8)
    examples = Examples(clutter, np.zeros(len(clutter), np.int32))
    return shape, distorted_mnist.make_preprocessing(config.data, examples)
