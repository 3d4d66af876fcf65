"""Runs the benchmarks and writes tables, plots and all measurements.

Command: python -m benchmarks [--short] [--only=sampler,steps] [--out=benchmarks/results]

With --device, it checks and measures a GPU in under 8 minutes: whether results agree with the CPU,
the sampler and the steps against torch, and a shortened row of the table. Where there is no GPU,
`python -m benchmarks --device --short` tries the same on the CPU.

Parts that are not run keep their earlier results, if the folder has any of the same settings. So do
the methods and channels that `--methods` and `--channels` leave out, on the same machine.
"""

import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from absl import app, flags

from benchmarks import (
    agreement,
    communication,
    exports,
    floor,
    growth,
    input_pipeline,
    machine,
    methods,
    peers,
    plots,
    sampler,
    splines,
    steps,
    training_run,
    volumes,
)
from benchmarks.checks import WrongResult
from benchmarks.settings import CHANNELS, METHODS, Settings

PARTS = {
    "sampler": sampler,
    "methods": methods,
    "volumes": volumes,
    "splines": splines,
    "steps": steps,
    "exports": exports,
    "pipeline": input_pipeline,
    "growth": growth,
    "communication": communication,
    "floor": floor,  # last: it needs the results of `sampler` and `steps`
}

DEVICE_PARTS = {
    "agreement": agreement,
    "sampler": sampler,
    "steps": steps,
    "training": training_run,
}
"""The parts with --device."""

_DEVICE = flags.DEFINE_bool("device", False, f"Check a GPU quickly: {', '.join(DEVICE_PARTS)}.")
_SHORT = flags.DEFINE_bool("short", False, "Use tiny shapes, one repeat: finds wrong results only.")
_ONLY = flags.DEFINE_list("only", None, f"Parts to run, by default {', '.join(PARTS)}.")
_OUT = flags.DEFINE_string("out", "benchmarks/results", "Folder for the results.")
_RECIPE = flags.DEFINE_enum("recipe", "paper", ["paper", "modern"], "Recipe of the timed networks.")
_METHODS = flags.DEFINE_list(
    "methods", [*METHODS], "Methods to measure in the part methods; others keep their results."
)
_CHANNELS = flags.DEFINE_list(
    "channels", [*map(str, CHANNELS)], "Numbers of channels to measure there; likewise."
)
_COMPILE = flags.DEFINE_bool("compile_steps", False, "Also time torch's steps compiled.")
flags.register_multi_flags_validator(
    ["only", "device"],
    lambda values: set(values["only"] or ()) <= _parts(values["device"]).keys(),
    f"the parts are {', '.join(PARTS)}, and with --device {', '.join(DEVICE_PARTS)}",
)
for _flag in (_METHODS, _CHANNELS):
    flags.register_validator(
        _flag.name,
        lambda chosen, known=_flag.default: {*chosen} <= {*known},
        f"must be of {','.join(_flag.default)}",
    )

Parts = dict[str, list[dict]]
Machines = dict[str, dict[str, str]]


def _parts(device: bool) -> dict[str, ModuleType]:
    return DEVICE_PARTS if device else PARTS


def main(_) -> int:
    """Runs the chosen parts and returns the exit status, 1 if a result is wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs the GPU as well
    settings = Settings(
        _SHORT.value,
        _RECIPE.value,
        _COMPILE.value,
        _DEVICE.value,
        tuple(_METHODS.value),
        tuple(map(int, _CHANNELS.value)),
    )
    modules = _parts(_DEVICE.value)
    notes: list[str] = []
    parts, machines = _earlier(Path(_OUT.value), settings)
    measured: Parts = {}
    failed = False
    for name in (name for name in modules if name in (_ONLY.value or modules)):
        settings.say(f"== {name}")
        try:
            about = machine.describe()
            before = parts.get(name, []) if _alike(about, machines.get(name, {})) else []
            parts[name] = modules[name].measure(settings, {**measured, name: before})
            measured[name], machines[name] = parts[name], machine.describe()
        except WrongResult as error:  # the other parts can still be measured
            notes.append(f"WRONG: {error}")
            failed = True
        _write(Path(_OUT.value), settings, notes, parts, machines)
    for note in (*peers.left_out(), *notes):
        print(note)
    print(f"results written to {_OUT.value}")
    return int(failed)


def _earlier(folder: Path, settings: Settings) -> tuple[Parts, Machines]:
    """Returns the parts that a run with the same settings has left, and their machines."""
    path = folder / "results.json"
    if not path.exists():
        return {}, {}
    content = json.loads(path.read_text())
    if "machines" not in content or content["settings"] != _lasting(settings):
        return {}, {}
    return content["parts"], content["machines"]


def _alike(about: dict[str, str], other: dict[str, str]) -> bool:
    """Returns whether results of two descriptions of a machine can stand side by side."""
    return {**about, "date": ""} == {**other, "date": ""}


def _lasting(settings: Settings) -> dict:
    """Returns the settings that must be the same for all parts of the results."""
    chosen = ("methods", "channels")
    return {key: value for key, value in settings._asdict().items() if key not in chosen}


def _write(
    folder: Path, settings: Settings, notes: list[str], parts: Parts, machines: Machines
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: parts[name] for name in _parts(settings.device) if name in parts}
    content = {
        "machines": machines,
        "settings": _lasting(settings),
        "notes": notes,
        "parts": parts,
    }
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    pictures = plots.draw(parts, folder)
    facts = {
        name: [f"{key}: {value}" for key, value in about.items()]
        for name, about in machines.items()
        if name in parts
    }
    common = [
        line
        for line in dict.fromkeys(itertools.chain(*facts.values()))
        if all(line in about for about in facts.values())
    ]
    texts = ["# Results", _bullets([*common, *notes])]
    texts.append(
        "Times and ratios are medians, with the quartiles in brackets. Ratios are computed repeat "
        "by repeat, between calls that are timed in turn in one process."
    )
    for name, records in parts.items():
        part = _parts(settings.device)[name]
        texts += [f"## {part.TITLE}", (part.__doc__ or "").strip()]
        texts += [_bullets(line for line in facts[name] if line not in common)]
        texts += [part.markdown(records)]
        if f"{name}.png" in pictures:
            texts.append(f"![{part.TITLE}]({name}.png)")
    (folder / "results.md").write_text("\n\n".join(filter(None, texts)) + "\n")


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


if __name__ == "__main__":
    app.run(main)
