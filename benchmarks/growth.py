"""How the sampler's time and memory grow with the batch, the size and the channels.

Memory is the peak of the forward pass and both gradients, measured in a separate process. It is
also measured on the workloads of the sampler's tables.
"""

from benchmarks import jax_samplers, memory, report, sampler, workloads
from benchmarks.peers import have
from benchmarks.settings import Settings
from benchmarks.workloads import Workload

TITLE = "Growth of time and memory"
BASE = Workload(32, 64, 64, 16)
KINDS = ("forward", "both")


def sweeps(settings: Settings) -> dict[str, list[Workload]]:
    """Returns the workloads by the dimension that grows."""
    if settings.short:
        return {"batch": [Workload(batch, 8, 8, 4) for batch in (1, 2)]}
    return {
        "batch": [BASE._replace(batch=batch) for batch in (2, 8, 32, 128)],
        "size": [BASE._replace(height=size, width=size) for size in (16, 32, 64, 128)],
        "channels": [BASE._replace(channels=channels) for channels in (1, 4, 16, 64)],
    }


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each workload, kind and library; those of peak memory have `bytes`."""
    del earlier
    records = []
    for grows, shapes in sweeps(settings).items():
        for workload in shapes:
            records += _times(settings, workload, grows)
        records += _peaks(shapes, grows)
        settings.say(f"growth with {grows}: done")
    if not settings.short:
        records += _peaks(list(workloads.WORKLOADS), "")
    return records


def _times(settings: Settings, workload: Workload, grows: str) -> list[dict]:
    samplers = {"ours": jax_samplers.make_samplers()["ours"]}
    if have("torch"):
        from benchmarks import torch_samplers

        samplers["torch"] = torch_samplers.make_samplers(compiled=False)["torch"]
    images, cotangents = workloads.random_images(workload)
    arrays = images, workloads.random_grids(workload), cotangents
    times = sampler.timed(samplers, arrays, KINDS, settings.repeats, settings.budget / 2)
    return [{"grows": grows, "shape": list(workload[:4])} | record for record in times]


def _peaks(shapes: list[Workload], grows: str) -> list[dict]:
    records = []
    for who in ("ours", "torch") if have("torch") else ("ours",):
        for workload, peak in zip(shapes, memory.peaks(who, shapes) or (), strict=False):
            about = {"grows": grows, "shape": list(workload[:4]), "kind": "memory", "who": who}
            records.append(about | {"bytes": peak, "input bytes": memory.input_bytes(workload)})
    return records


def markdown(records: list[dict]) -> str:
    """Returns a table of times and a table of peak memory."""
    peers = [who for who in dict.fromkeys(record["who"] for record in records) if who != "ours"]
    timed = [_named(record) for record in records if record["kind"] != "memory"]
    rows = [
        [
            f"{grows}: {workload}",
            kind,
            report.milliseconds(who["ours"]["seconds"]),
            *(report.times(who[peer]["ratio"]) for peer in peers),
        ]
        for (grows, workload, kind), who in report.by(timed, "grows", "workload", "kind").items()
    ]
    head = ["varied: B x H x W x C", "kind", "ours, ms", *(f"{peer} / ours" for peer in peers)]
    peaks = [_named(record) for record in records if record["kind"] == "memory"]
    memory_rows = []
    for (workload,), who in report.by(peaks, "workload").items():
        given = who["ours"]["input bytes"]
        totals = {name: record["bytes"] + given for name, record in who.items()}
        row = [workload, *(f"{value / 1e6:.1f}" for value in (given, who["ours"]["bytes"]))]
        for peer in peers:
            if peer in who:
                row.append(f"{who[peer]['bytes'] / 1e6:.1f}")
                row.append(f"{totals['ours'] / totals[peer]:.2f}")
                row.append(f"{who['ours']['bytes'] / max(who[peer]['bytes'], 1):.2f}")
        memory_rows.append(row)
    memory_head = ["B x H x W x C", "inputs, MB", "ours beyond the inputs, MB"]
    for peer in peers:
        memory_head.append(f"{peer} beyond the inputs, MB")
        memory_head += [f"ours / {peer}, with inputs", f"ours / {peer}, without inputs"]
    return "\n\n".join(
        [
            report.table(head, rows),
            "### Peak memory, forward and both gradients",
            report.table(memory_head, memory_rows)
            if peaks
            else "Could not be measured on this machine.",
        ]
    )


def _named(record: dict) -> dict:
    return record | {"workload": "x".join(map(str, record["shape"]))}
