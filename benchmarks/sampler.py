"""The sampler and its gradients against torch, kornia, map_coordinates and dm_pix.

The grids are affine, with random rotations and scales, and are made beforehand; only in the table
of families the measured time includes making the grid from theta. Gradients include the forward
pass. torch and kornia get images in their native layout, channels first. A dash means that the
column would repeat another one, or that the peer's result is wrong.
"""

import functools
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from benchmarks import jax_samplers, report, timing, workloads
from benchmarks.checks import WrongResult, check_agreement
from benchmarks.jax_samplers import KINDS, Sampler, in_pixels
from benchmarks.peers import have
from benchmarks.settings import Settings
from stn_jax.transforms import FamilyName

TITLE = "Sampler"
FAMILIES: tuple[FamilyName, ...] = ("affine", "projective", "tps")


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each workload, family or "grid", kind and sampler."""
    del earlier
    given: tuple[workloads.Workload, ...] = workloads.WORKLOADS
    from_theta: tuple[workloads.Workload, ...] = workloads.FAMILY_WORKLOADS
    if settings.device:
        given, from_theta = workloads.DEVICE_WORKLOADS, ()
    if settings.short:
        given = from_theta = workloads.SHORT_WORKLOADS
    records = []
    for workload in given:
        points = workloads.random_grids(workload)
        peers = jax_samplers.make_samplers()
        samplers = {"ours": peers.pop("ours"), **_torch_samplers(settings), **peers}
        if workload.channels == 1:
            samplers.pop("torch, channels last", None)  # for one channel the layouts are the same
        records += _measure(settings, workload, "grid", points, samplers)
    for workload in from_theta:
        for family in FAMILIES:
            points = workloads.random_thetas(family, workload.batch)
            samplers = {"ours": jax_samplers.make_family_sampler(family)}
            samplers |= _torch_samplers(settings, family)
            records += _measure(settings, workload, family, points, samplers)
    return records


def _torch_samplers(settings: Settings, family: str = "") -> dict[str, Sampler]:
    if not have("torch"):
        return {}
    import torch

    from benchmarks import torch_samplers

    torch.compiler.reset()  # otherwise it stops compiling after a number of shapes
    # Compiling takes minutes and finds no more errors.
    compiled = not (settings.short or settings.device)
    if family:
        return torch_samplers.make_family_samplers(family, compiled=compiled)
    return torch_samplers.make_samplers(compiled=compiled)


def _measure(
    settings: Settings,
    workload: workloads.Workload,
    points_from: str,
    points: np.ndarray,
    samplers: dict[str, Sampler],
) -> list[dict]:
    images, cotangents = workloads.random_images(workload)
    wrong = _check(workload, points_from, (images, points, cotangents), samplers)
    about = {"workload": str(workload), "from": points_from}
    arrays = images, points, cotangents
    times = timed(samplers, arrays, KINDS, settings.repeats, settings.budget, left_out=wrong)
    records = [about | record for record in times]
    for who, kind in wrong:
        settings.say(f"{who}, {kind}: left out, because its result is wrong")
    settings.say(f"{workload}, {points_from}: {_line(records)}")
    return records


def timed(
    samplers: Mapping[str, Sampler],
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    kinds: Iterable[str],
    repeats: tuple[int, int],
    budget: float,
    left_out: Collection[tuple[str, str]] = (),
) -> list[dict]:
    """Times samplers in turn on the same images, points and cotangents.

    Args:
        samplers: the samplers by name; "ours" is the reference of the ratios. One without a kind
            is left out there.
        arrays: images [B, *S, C], points and cotangents.
        kinds: keys of `jax_samplers.KINDS`.
        repeats: the least and the greatest number of repeats.
        budget: the seconds for each kind, as far as `repeats` allows.
        left_out: pairs of a name and a kind that are not timed.

    Returns:
        A record for each kind and sampler.
    """
    inputs = {name: sampler.put(*arrays) for name, sampler in samplers.items()}
    records = []
    for kind in kinds:
        runs = {
            name: functools.partial(sampler.programs[kind], *inputs[name])
            for name, sampler in samplers.items()
            if kind in sampler.programs and (name, kind) not in left_out
        }
        times = timing.alternating(runs, repeats=repeats, budget=budget)
        records += [{"kind": kind} | record for record in timing.compared(times, "ours")]
    return records


def _check(
    workload: workloads.Workload, points_from: str, arrays: tuple, samplers: dict[str, Sampler]
) -> set[tuple[str, str]]:
    """Compares the results of all samplers with ours, wherever they should agree.

    Returns:
        The name and the kind of each wrong result of a sampler that is not trusted.

    Raises:
        WrongResult: a result of a trusted sampler is wrong.
    """
    wrong = set()
    images, points, cotangents = arrays
    given = points_from == "grid"
    # The gradient of a theta is a sum over points, some of which lie at a kink.
    tolerances = {"values": 1e-3, "image": 1e-3, "points": 1e-3 if given else 0.05}
    ours = _results(samplers["ours"], images, points, cotangents)
    for name, sampler in samplers.items():
        expected, mask = ours, np.ones((1, 1, 1, 1), np.float32)
        if not sampler.mixes_padding:
            mask = _far_from_border(workload, points)[..., None].astype(np.float32)
            expected = _results(samplers["ours"], images, points, cotangents * mask)
        results = _results(sampler, images, points, cotangents * mask)
        for kind in KINDS:
            left, right = expected[kind], results[kind]
            for result in (left, right):
                result["values"] = result["values"] * mask
                if given and "points" in result:
                    result["points"] = result["points"] * _far_from_kinks(workload, points)
            what = f"{name} on {workload}, {points_from}, {kind}"
            try:
                check_agreement(what, left, right, tolerances)
            except WrongResult:
                if sampler.trusted:
                    raise
                wrong.add((name, kind))
    return wrong


def _results(sampler: Sampler, *arrays) -> dict[str, dict[str, np.ndarray]]:
    inputs = sampler.put(*arrays)
    return {kind: sampler.get(program(*inputs)) for kind, program in sampler.programs.items()}


def _far_from_border(workload, grids: np.ndarray) -> np.ndarray:
    """Returns where points do not mix border pixels and padding, [B, H, W]."""
    sizes, margin = (workload.height, workload.width), 1e-3
    places = list(zip(in_pixels(grids, *sizes), sizes, strict=True))
    inside = [(place > margin) & (place < size - 1 - margin) for place, size in places]
    outside = [(place < -1) | (place > size) for place, size in places]
    return np.all(inside, axis=0) | np.any(outside, axis=0)


def _far_from_kinks(workload, grids: np.ndarray) -> np.ndarray:
    """Returns where rounding does not change the pixels that a point lies between, [B, H, W, 1]."""
    places = in_pixels(grids, workload.height, workload.width)
    return np.all([np.abs(p - np.round(p)) > 1e-3 for p in places], axis=0)[..., None]


def _line(records: list[dict]) -> str:
    torch = [record["ratio"][1] for record in records if record["who"] == "torch"]
    return "torch / ours " + ", ".join(f"{ratio:.2f}" for ratio in torch) if torch else "done"


def markdown(records: list[dict]) -> str:
    """Returns a summary, a table for each kind, and a table of the families."""
    texts = [_summary(records)]
    for kind in KINDS:
        texts.append(f"### {kind.capitalize()}, given affine grids")
        texts.append(_table([r for r in records if r["kind"] == kind and r["from"] == "grid"]))
    texts.append("### From theta: grid and values")
    texts.append(_table([r for r in records if r["from"] != "grid"]))
    return "\n\n".join(texts)


def _summary(records: list[dict]) -> str:
    rows = []
    peers = [who for who in dict.fromkeys(record["who"] for record in records) if who != "ours"]
    for peer in peers:
        ratios = np.array([record["ratio"][1] for record in records if record["who"] == peer])
        rows.append(
            [
                peer,
                f"{np.sum(ratios >= 1)} of {len(ratios)}",
                *(f"{f(ratios):.2f}" for f in (np.min, np.median, np.max)),
            ]
        )
    text = "Peer's time / ours, over all workloads and kinds (above 1: ours is faster).\n\n"
    text += report.table(["peer", "ours at least as fast", "lowest", "median", "highest"], rows)
    groups = report.by((r for r in records if r["from"] == "grid"), "workload", "kind")
    costs = {
        workload: groups[workload, "gradient to points"]["ours"]["seconds"][1]
        / groups[workload, "forward"]["ours"]["seconds"][1]
        for workload, kind in groups
        if kind == "forward"
    }
    worst = max(costs, key=costs.__getitem__)
    return (
        f"{text}\n\nOur grid gradient takes {np.median(list(costs.values())):.2f} times as long as "
        f"the forward pass (median over the workloads), and at most {costs[worst]:.2f} times "
        f"({worst})."
    )


def _table(records: list[dict]) -> str:
    keys = {"workload": "B x H x W x C"}
    if any(record["from"] != "grid" for record in records):
        keys |= {"from": "family", "kind": "kind"}
    return report.comparison(records, keys)
