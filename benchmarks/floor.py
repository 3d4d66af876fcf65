"""How far each time is from the least time that this machine could take.

Each workload must read and write a minimum of bytes and do a minimum of arithmetic. The least times
for both follow from two ceilings measured in the same run: the memory bandwidth, and the operations
per second of a matrix product. The floor is the larger of the two times. The bandwidth depends on
the size of the arrays, because small ones stay in the caches; it is measured for several sizes, and
that of the largest one not above the workload's is used.
"""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import lax

from benchmarks import networks, report, steps, timing
from benchmarks.jax_samplers import KINDS
from benchmarks.networks import Network
from benchmarks.settings import Settings

TITLE = "Floor"


def measure(settings: Settings, earlier: Mapping[str, list[dict]]) -> list[dict]:
    """Returns the ceilings, and a record for each of our times in `sampler` and `steps`."""
    megabytes = (1, 4) if settings.short else (1, 2, 4, 8, 16, 32, 64, 128, 512)
    bandwidths = {10**6 * size: _bandwidth(settings, 10**6 * size) for size in megabytes}
    rate = _matmul_rate(settings, 128 if settings.short else 2048)
    records = [
        {"ceiling": "memory", "of bytes": size, "per second": value}
        for size, value in bandwidths.items()
    ]
    records.append({"ceiling": "matrix product", "per second": rate})
    settings.say(f"{rate / 1e9:.0f} GFLOP/s, {min(bandwidths.values()) / 1e9:.1f} GB/s")
    for what, seconds, least_bytes, operations in _workloads(settings, earlier):
        size = max((size for size in bandwidths if size <= least_bytes), default=min(bandwidths))
        times = {"memory": least_bytes / bandwidths[size], "arithmetic": operations / rate}
        bound = max(times, key=times.__getitem__)
        records.append(
            {
                "what": what,
                "bytes": least_bytes,
                "operations": operations,
                "bound": bound,
                "floor": times[bound],
                "seconds": seconds,
                "times": seconds / times[bound],
            }
        )
    return records


def _workloads(settings: Settings, earlier: Mapping[str, list[dict]]):
    """Yields the name, seconds, least bytes and least operations of each of our times."""
    for record in earlier.get("sampler", ()):
        if record["who"] == "ours" and record["from"] == "grid":
            shape = tuple(map(int, record["workload"].split("x")))
            name = f"sampler {record['workload']}, {record['kind']}"
            yield name, record["seconds"][1], *sampler_work(shape, record["kind"])
    ours = [record for record in earlier.get("steps", ()) if record["who"] == "ours"]
    groups = {group.title: group for group in steps.groups(settings)} if ours else {}
    for record in ours:
        network = networks.make(groups[record["group"]].configs[record["network"]])
        name = f"step {record['group']}: {record['network']}"
        yield name, record["seconds"][1], *step_work(network, record["batch"])


def sampler_work(shape: tuple[int, ...], kind: str) -> tuple[int, int]:
    """Returns the least bytes and operations for images [B, H, W, C] and grids [B, H, W, 2].

    All arrays are float32 and are read or written once. An output value takes four products and
    three sums. Its share of the gradient of the image, and of each of the two coordinates of the
    grid, takes as many.
    """
    points = shape[0] * shape[1] * shape[2]
    values = points * shape[3]
    wanted = KINDS[kind]
    numbers = 2 * values + 2 * points  # the image and the grid in, the values out
    numbers += values if wanted else 0  # the cotangents in
    numbers += (values if 0 in wanted else 0) + (2 * points if 1 in wanted else 0)
    passes = 1 + (0 in wanted) + 2 * (1 in wanted)
    return 4 * numbers, 7 * values * passes


def step_work(network: Network, batch_size: int) -> tuple[int, int]:
    """Returns the least bytes and operations of a training step.

    Bytes: the parameters are read in the forward and in the backward pass and written once, the
    optimiser's state is read and written, and the images are read. Operations: each layer does a
    product and a sum per weight and position, three times: for the forward pass, for the gradient
    with respect to its input, and for that with respect to its parameters. First layers do not need
    the gradient with respect to their input, so where they are large, the result is a few per cent
    above the least.
    """
    state = jax.eval_shape(network.initial_state)
    images = jax.ShapeDtypeStruct((batch_size, *network.input_shape), jnp.float32)
    apply = functools.partial(network.model.apply, capture_intermediates=True)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    _, updated = jax.eval_shape(apply, variables, images)
    outputs = flatten_dict(updated["intermediates"])
    operations = 0
    for path, leaf in flatten_dict(state.params).items():
        if path[-1] == "kernel":
            [output] = outputs[(*path[:-1], "__call__")]
            operations += 2 * leaf.size * output.size // output.shape[-1]
    parameters, optimizer = (_bytes(part) for part in (state.params, state.opt_state))
    return 3 * parameters + 2 * optimizer + _bytes(images), 3 * operations


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _bandwidth(settings: Settings, num_bytes: int) -> float:
    """Returns the bytes per second of a <- a + 2 b in place, where both have `num_bytes` together.

    One call repeats it often enough that the overhead of the call does not matter.
    """
    passes = max(1, 5 * 10**8 // num_bytes)
    add = jax.jit(
        lambda a, b: lax.fori_loop(0, passes, lambda _, a: a + 2 * b, a), donate_argnums=0
    )
    a, b = jnp.zeros(num_bytes // 8), jnp.ones(num_bytes // 8)

    def run():
        nonlocal a
        a = add(a, b)
        return a

    return 1.5 * num_bytes * passes / _fastest(settings, run)


def _matmul_rate(settings: Settings, size: int) -> float:
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    return 2 * size**3 / _fastest(settings, lambda: multiply(matrix, matrix))


def _fastest(settings: Settings, run: Callable[[], object]) -> float:
    times = timing.alternating({"": run}, repeats=settings.repeats, budget=settings.budget / 2)
    return times[""].min()


def markdown(records: list[dict]) -> str:
    """Returns the ceilings and a table with a row for each time."""
    ceilings = [record for record in records if "ceiling" in record]
    rows = [
        [
            record["what"],
            f"{record['bytes'] / 1e6:.2f}",
            f"{record['operations'] / 1e6:.1f}",
            record["bound"],
            f"{1000 * record['floor']:.3g}",
            f"{1000 * record['seconds']:.3g}",
            f"{record['times']:.1f}",
        ]
        for record in records
        if "what" in record
    ]
    memory = ", ".join(
        f"{record['per second'] / 1e9:.1f} GB/s over {record['of bytes'] / 1e6:.0f} MB"
        for record in ceilings
        if record["ceiling"] == "memory"
    )
    [product] = [record for record in ceilings if record["ceiling"] == "matrix product"]
    texts = [f"Memory: {memory}. Matrix product: {product['per second'] / 1e9:.0f} GFLOP/s."]
    if rows:
        head = ["workload", "least MB", "least MFLOP", "bound by", "floor, ms", "measured, ms"]
        texts.append(report.table([*head, "measured / floor"], rows))
    return "\n\n".join(texts)
