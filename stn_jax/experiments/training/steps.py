"""The training step and the evaluation step: pure functions of the state and a batch."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from flax.traverse_util import flatten_dict
from jax import Array, lax

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.training.memory import check_memory

DEVICES = "devices"
"""The name of the axis over which gradients, batch statistics and metrics are averaged."""

_DROPOUT_ID = 2**32 - 1  # step keys are folded with example ids; no example has this id


class TrainState(struct.PyTreeNode):
    """Everything that training changes."""

    step: Array  # int32 []
    params: Any
    batch_stats: Any
    opt_state: optax.OptState

    @property
    def num_params(self) -> int:
        """The number of parameters of the network."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int,
    input_shape: tuple[int, int, int],
) -> TrainState:
    """Returns the state before the first step, for images [B, *input_shape].

    Raises:
        UserError: the state needs more memory than this machine has.
    """
    init = jax.jit(model.init)

    def make() -> TrainState:
        variables = init(jax.random.key(seed), jnp.zeros((1, *input_shape)))
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(params),
        )

    shapes = jax.eval_shape(make)
    gradients = shapes.params
    check_memory(sum(math.prod(x.shape) * 4 for x in jax.tree.leaves((shapes, gradients))))
    return make()


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    labels: LabelKind,
    preprocess: Callable[[Array, Array, Array], Array],
    seed: int | Array,
) -> tuple[TrainState, dict[str, Array]]:
    """Takes one training step on this device's part of a batch, inside the axis named `DEVICES`.

    Returns:
        The next state, and the metrics of this step averaged over all devices: `loss`, `error`
        (0..1), `gradient_norm`, and for each transformer `<path>/mean` and `<path>/spread` (the
        standard deviation over the batch) of every entry of theta.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    images = preprocess(batch.images, batch.ids, key)

    def loss_fn(params):
        logits, updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats", "intermediates"],
            rngs={"dropout": jax.random.fold_in(key, _DROPOUT_ID)},
        )
        return labels.loss(logits, batch.labels).mean(), (logits, updated)

    (loss, (logits, updated)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    theta = thetas(updated["intermediates"]) if "intermediates" in updated else {}
    means, theta = _of_all_devices(
        {
            "gradients": gradients,
            "loss": loss,
            "error": labels.is_wrong(logits, batch.labels).mean(),
        },
        theta,
    )
    updates, opt_state = optimizer.update(means["gradients"], state.opt_state, state.params)
    metrics = {
        "loss": means["loss"],
        "error": means["error"],
        "gradient_norm": optax.tree.norm(means["gradients"]),
        **{f"{path}/mean": value.mean(axis=0) for path, value in theta.items()},
        **{f"{path}/spread": value.std(axis=0) for path, value in theta.items()},
    }
    next_state = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=updated.get("batch_stats", {}),
        opt_state=opt_state,
    )
    return next_state, metrics


def eval_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    labels: LabelKind,
    preprocess: Callable[[Array, Array], Array],
) -> dict[str, Array]:
    """Returns sums over this device's part of a batch: `loss`, `wrong`, `examples`.

    The sums that `labels.error_sums` returns are included.
    """
    images = preprocess(batch.images, batch.ids)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits: Any = model.apply(variables, images)
    return {
        "loss": jnp.sum(batch.weights * labels.loss(logits, batch.labels)),
        "wrong": jnp.sum(batch.weights * labels.is_wrong(logits, batch.labels)),
        "examples": jnp.sum(batch.weights),
        **labels.error_sums(logits, batch.labels, batch.weights),
    }


def _of_all_devices(means: Any, rows: Any) -> tuple[Any, Any]:
    """Averages a tree over all devices, and joins the rows of another one, in one reduction."""
    devices = lax.axis_size(DEVICES)
    if devices == 1:  # a reduction would copy all gradients: a tenth of a step's time on a CPU
        return means, rows

    def among_zeros(here: Array) -> Array:
        everywhere = jnp.zeros((devices, *here.shape), here.dtype)
        everywhere = everywhere.at[lax.axis_index(DEVICES)].set(here)
        return everywhere.reshape(-1, *here.shape[1:])

    means, rows = lax.psum((means, jax.tree.map(among_zeros, rows)), DEVICES)
    return jax.tree.map(lambda total: total / devices, means), rows


def thetas(intermediates: Any) -> dict[str, Array]:
    """Returns the flattened theta of each transformer: {"transformer/theta": [B, params], ...}."""
    return {
        "/".join(path): value[0].reshape(value[0].shape[0], -1)
        for path, value in flatten_dict(intermediates).items()
        if path[-1] == "theta"
    }
