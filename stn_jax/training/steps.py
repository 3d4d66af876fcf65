"""What one training step and one evaluation step do: pure functions of the state and a batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from flax.traverse_util import flatten_dict
from jax import Array, lax

from stn_jax.data.examples import Batch
from stn_jax.training.losses import cross_entropy, is_wrong, number_errors

DEVICES = "devices"
"""Name of the axis that gradients, batch statistics and metrics are averaged over."""

_DROPOUT_ID = 2**32 - 1  # a step's keys are folded with examples' ids: no example has this one


class TrainState(struct.PyTreeNode):
    """All that training changes."""

    step: Array  # int32 []
    params: Any
    batch_stats: Any
    opt_state: optax.OptState

    @property
    def num_params(self) -> int:
        """How many numbers the network learns."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int,
    input_shape: tuple[int, int, int],
) -> TrainState:
    """The state before the first step, for images [B, *input_shape]."""
    variables = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, *input_shape)))
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Array, Array, Array], Array],
    seed: int | Array,
) -> tuple[TrainState, dict[str, Array]]:
    """One step on this device's part of a batch, inside of an axis called `DEVICES`.

    Returns:
        The next state and the metrics of this step, both means over all devices: `loss`, `error`
        (0..1), `gradient_norm`, and for each transformer `<path>/mean` and `<path>/spread`
        (standard deviation over the batch) of every entry of theta.
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
        return cross_entropy(logits, batch.labels).mean(), (logits, updated)

    (loss, (logits, updated)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    theta = thetas(updated["intermediates"]) if "intermediates" in updated else {}
    means = {
        "gradients": gradients,
        "loss": loss,
        "error": is_wrong(logits, batch.labels).mean(),
        "theta": {path: value.mean(axis=0) for path, value in theta.items()},
    }
    means = _mean_over_devices(means)
    variances = _mean_over_devices(
        {path: ((theta[path] - mean) ** 2).mean(axis=0) for path, mean in means["theta"].items()}
    )
    updates, opt_state = optimizer.update(means["gradients"], state.opt_state, state.params)
    metrics = {
        "loss": means["loss"],
        "error": means["error"],
        "gradient_norm": optax.tree.norm(means["gradients"]),
        **{f"{path}/mean": mean for path, mean in means["theta"].items()},
        **{f"{path}/spread": jnp.sqrt(variance) for path, variance in variances.items()},
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
    preprocess: Callable[[Array, Array], Array],
) -> dict[str, Array]:
    """Sums over this device's part of a batch: `loss`, `wrong` and `examples`.

    Where the labels are numbers, those of `number_errors` as well.
    """
    images = preprocess(batch.images, batch.ids)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits: Any = model.apply(variables, images)
    sums = {
        "loss": jnp.sum(batch.weights * cross_entropy(logits, batch.labels)),
        "wrong": jnp.sum(batch.weights * is_wrong(logits, batch.labels)),
        "examples": jnp.sum(batch.weights),
    }
    if batch.labels.ndim == 2:
        sums |= number_errors(logits, batch.labels, batch.weights)
    return sums


def _mean_over_devices(tree: Any) -> Any:
    # Even on one device a reduction copies all gradients, a tenth of a CPU's step.
    return tree if lax.axis_size(DEVICES) == 1 else lax.pmean(tree, DEVICES)


def thetas(intermediates: Any) -> dict[str, Array]:
    """Each transformer's theta, flat, by its path: {"transformer/theta": [B, params], ...}."""
    return {
        "/".join(path): value[0].reshape(value[0].shape[0], -1)
        for path, value in flatten_dict(intermediates).items()
        if path[-1] == "theta"
    }
