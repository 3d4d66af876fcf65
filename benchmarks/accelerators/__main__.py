"""Estimates times on TPUs and GPUs by compiling for them, and writes tables.

It needs neither device, only the packages that compile for them, best in an environment of their
own. For JAX 0.10.2 (0.7 GB for TPUs, 0.4 GB for GPUs):

    pip install libtpu==0.0.42.1 jax-cuda13-plugin==0.10.2 jax-cuda13-pjrt==0.10.2

Platforms whose packages are missing are left out. The first run of everything takes hours of one
core; later ones compile only what has changed. Results that a run does not make stay in the tables.

Command: python -m benchmarks.accelerators [--platforms=v5e,h100] [--parts=sampler,steps]
    [--workloads=256x42x42x1] [--networks="4.1 ST-CNN"] [--dtypes=float32,bfloat16]
    [--out=benchmarks/results]
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import app, flags

from benchmarks.accelerators import compiling, tables
from benchmarks.accelerators.platforms import PLATFORMS, missing
from benchmarks.accelerators.programs import FORMS, PASSES, STEPS, Program, Sampling, Step
from benchmarks.workloads import WORKLOADS
from stn_jax.experiments.config_fields import DTYPES

_WORKLOADS = {str(workload): workload for workload in WORKLOADS}
_CHOICES = {
    "platforms": (("v5e", "h100"), tuple(PLATFORMS)),
    "parts": (("sampler", "steps"),) * 2,
    "workloads": (tuple(_WORKLOADS),) * 2,
    "forms": (FORMS,) * 2,
    "networks": (tuple(STEPS),) * 2,
    "devices": (("1", "4", "8"),) * 2,
    "dtypes": (("float32",), DTYPES),
}
"""Default and possible values of each flag that takes a list."""

_ORDER: dict[str, list] = {
    "platform": list(PLATFORMS),
    "part": ["sampler", "steps"],
    "workload": list(_WORKLOADS),
    "pass": list(PASSES),
    "form": list(FORMS),
    "network": list(STEPS),
    "devices": [1, 4, 8],
    "dtype": list(DTYPES),
}
"""What a record is about, and the order of records."""

for _name, (_default, _all) in _CHOICES.items():
    flags.DEFINE_list(_name, list(_default), f"Which ones, out of {', '.join(_all)}.")
    flags.register_validator(
        _name,
        lambda values, allowed=_all: set(values) <= set(allowed),
        f"choose from {', '.join(_all)}",
    )
_TIMEOUT = flags.DEFINE_float("timeout", 3600, "The most seconds to compile one program.")
_OUT = flags.DEFINE_string("out", "benchmarks/results", "Folder for the results.")


def main(_) -> int:
    """Compiles all programs, and returns the exit status, 1 if one failed."""
    chosen = flags.FLAGS
    records: list[dict] = []
    for platform in chosen.platforms:
        if line := missing(platform):
            print(line)
            continue
        programs = list(_programs(chosen))
        found = compiling.estimates(platform, [x for _, x in programs], timeout=_TIMEOUT.value)
        for (about, _), estimate in zip(programs, found, strict=True):
            if about["part"] == "sampler":
                estimate.pop("longest", None)  # there are only a few operations
            records.append({"platform": platform, **about, **estimate})
            _say(records[-1])
            _write(Path(_OUT.value), records)
    return int(any("error" in record for record in records))


def _programs(chosen: flags.FlagValues) -> Iterator[tuple[dict, Program]]:
    """Yields what is to be compiled, and its description in records."""
    if "sampler" in chosen.parts:
        for name in chosen.workloads:
            for direction in PASSES:
                for form in chosen.forms:
                    about = {"part": "sampler", "workload": name, "pass": direction, "form": form}
                    yield about, Sampling(_WORKLOADS[name], direction, form)
    if "steps" in chosen.parts:
        for network in chosen.networks:
            for devices, dtype in itertools.product(map(int, chosen.devices), chosen.dtypes):
                step = Step(network, devices, dtype)
                yield {"part": "steps", **step._asdict()}, step


def _say(record: dict) -> None:
    what = (str(value) for key, value in record.items() if key in _ORDER)
    time = record.get("error") or f"{record['microseconds']:,.0f} us"
    print(f"{', '.join(what)}: {time}", file=sys.stderr, flush=True)


def _write(folder: Path, records: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "accelerators.json"
    earlier = json.loads(stored.read_text()) if stored.exists() else []
    every = {_place(record): record for record in (*earlier, *records)}
    ordered = [every[place] for place in sorted(every)]
    stored.write_text(json.dumps(ordered, indent=1) + "\n")
    (folder / "accelerators.md").write_text(tables.markdown(ordered))


def _place(record: dict) -> tuple[int, ...]:
    return tuple(
        values.index(record[name]) if name in record else -1 for name, values in _ORDER.items()
    )


if __name__ == "__main__":
    app.run(main)
