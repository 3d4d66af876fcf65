"""Samplers timed in turn on one workload after their results are compared, and compact tables."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import report, sampler
from benchmarks.checks import check_agreement
from benchmarks.jax_samplers import Sampler, in_pixels
from benchmarks.report import Record
from benchmarks.settings import Settings

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]

_TOLERANCES = {"values": 1e-3, "image": 1e-3, "points": 1e-3}
_COMPARED = 2**18
"""About how many numbers of a result are compared: some of its rows if it has more."""


def measure(
    settings: Settings,
    about: Mapping[str, object],
    arrays: Arrays,
    samplers: Mapping[str, Sampler],
    kinds: Sequence[str],
) -> list[Record]:
    """Returns a record for each kind and sampler, with `about`.

    Args:
        settings: how thoroughly to measure.
        about: names the workload and the options in each record.
        arrays: images [B, *S, C], grids [B, *T, n], and cotangents [B, *T, C].
        samplers: the samplers by name, with "ours". One without a kind is left out there.
        kinds: keys of `jax_samplers.KINDS`.

    Raises:
        WrongResult: a sampler's result differs from ours.
    """
    images, grids, cotangents = arrays
    # Where rounding decides which pixels a point reads, values and gradients differ rightly.
    clear = _far_from_kinks(grids, images.shape[1:-1])
    arrays = images, grids, cotangents * clear
    name = ", ".join(map(str, about.values()))
    ours: dict[str, dict] = {}
    for who, one in samplers.items():
        inputs = one.put(*arrays)
        for kind in kinds:
            if kind in one.programs:
                result = _thinned(one.get(one.programs[kind](*inputs)), clear)
                expected = ours.setdefault(kind, result)
                check_agreement(f"{who} on {name}, {kind}", expected, result, _TOLERANCES)
    least, most = settings.repeats
    records = sampler.timed(samplers, arrays, kinds, (min(least, 3), most), settings.budget / 8)
    records = [{**about, **record} for record in records]
    ratios = (f"{r['who']} {r['ratio'][1]:.2f}" for r in records if r["who"] != "ours")
    settings.say(f"{name}, peer / ours: {', '.join(ratios)}")
    return records


def _far_from_kinks(grids: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Returns where no coordinate is at a whole or a half pixel, as float32 [B, *T, 1]."""
    doubled = (2 * place for place in in_pixels(grids, *sizes))
    far = [np.abs(place - np.round(place)) > 2e-3 for place in doubled]
    return np.all(far, axis=0)[..., None].astype(np.float32)


def _thinned(result: Mapping[str, np.ndarray], clear: np.ndarray) -> dict[str, np.ndarray]:
    """Returns some rows of all results, and zeros in place of values that are not clear."""
    thinned = {}
    for name, array in result.items():
        step = -(-array.size // _COMPARED)
        rows = slice(array.shape[1] // 2 % step, None, step)
        thinned[name] = array[:, rows] * clear[:, rows] if name == "values" else array[:, rows]
    return thinned


def summary(records: Sequence[Record], *keys: str) -> str:
    """Returns how each peer's time compares with ours, over the records with equal `keys`."""
    groups: dict[tuple, list[float]] = {}
    for record in records:
        if record["who"] != "ours":
            group = tuple(record[key] for key in (*keys, "who"))
            groups.setdefault(group, []).append(record["ratio"][1])
    rows = [
        [
            *group,
            f"{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)}",
            *(f"{f(ratios):.2f}" for f in (np.min, np.median, np.max)),
        ]
        for group, ratios in groups.items()
    ]
    head = [*keys, "peer", "ours at least as fast", "lowest", "median", "highest"]
    return f"Peer's time / ours (above 1: ours is faster).\n\n{report.table(head, rows)}"


def misses(records: Sequence[Record], *keys: str) -> str:
    """Returns a list of all cases in which a peer is faster, the worst first."""
    found = [record for record in records if record["ratio"][1] < 1]
    lines = [
        f"- {report.times(record['ratio'])} {record['who']}: "
        + ", ".join(str(record[key]) for key in (*keys, "kind"))
        for record in sorted(found, key=lambda record: record["ratio"][1])
    ]
    return "\n".join(["Cases in which a peer is faster:\n", *(lines or ["none."])])
