"""Runs the benchmarks and writes tables, plots and all measurements.

Command: python -m benchmarks [--short] [--only=sampler,steps] [--out=benchmarks/results]

With --device, it checks and measures a GPU in under 8 minutes: whether results agree with the CPU,
the sampler and the steps against torch, and a shortened row of the table. Where there is no GPU,
`python -m benchmarks --device --short` tries the same on the CPU.
"""

import json
import os
from pathlib import Path
from types import ModuleType

from absl import app, flags

from benchmarks import (
    agreement,
    exports,
    floor,
    growth,
    input_pipeline,
    machine,
    peers,
    plots,
    sampler,
    steps,
    training_run,
    weak_scaling,
)
from benchmarks.checks import WrongResult
from benchmarks.settings import Settings

PARTS = {
    "sampler": sampler,
    "steps": steps,
    "exports": exports,
    "pipeline": input_pipeline,
    "growth": growth,
    "scaling": weak_scaling,
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
_COMPILE = flags.DEFINE_bool("compile_steps", False, "Also time torch's steps compiled.")
flags.register_multi_flags_validator(
    ["only", "device"],
    lambda values: set(values["only"] or ()) <= _parts(values["device"]).keys(),
    f"the parts are {', '.join(PARTS)}, and with --device {', '.join(DEVICE_PARTS)}",
)


def _parts(device: bool) -> dict[str, ModuleType]:
    return DEVICE_PARTS if device else PARTS


def main(_) -> int:
    """Runs the chosen parts and returns the exit status, 1 if a result is wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs the GPU as well
    settings = Settings(_SHORT.value, _RECIPE.value, _COMPILE.value, _DEVICE.value)
    modules = _parts(_DEVICE.value)
    notes = peers.left_out()
    parts: dict[str, list[dict]] = {}
    failed = False
    for name in (name for name in modules if name in (_ONLY.value or modules)):
        settings.say(f"== {name}")
        try:
            parts[name] = modules[name].measure(settings, parts)
        except WrongResult as error:  # the other parts can still be measured
            notes.append(f"WRONG: {error}")
            failed = True
        _write(Path(_OUT.value), settings, notes, parts)
    for note in notes:
        print(note)
    print(f"results written to {_OUT.value}")
    return int(failed)


def _write(
    folder: Path, settings: Settings, notes: list[str], parts: dict[str, list[dict]]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    about = machine.describe()
    content = {"machine": about, "settings": settings._asdict(), "notes": notes, "parts": parts}
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    pictures = plots.draw(parts, folder)
    lines = [f"{key}: {value}" for key, value in about.items()]
    texts = ["# Results", "\n".join(f"- {line}" for line in (*lines, *notes))]
    texts.append(
        "Times and ratios are medians, with the quartiles in brackets. Ratios are computed repeat "
        "by repeat, between calls that are timed in turn in one process."
    )
    for name, records in parts.items():
        part = _parts(settings.device)[name]
        texts += [f"## {part.TITLE}", (part.__doc__ or "").strip(), part.markdown(records)]
        if f"{name}.png" in pictures:
            texts.append(f"![{part.TITLE}]({name}.png)")
    (folder / "results.md").write_text("\n\n".join(texts) + "\n")


if __name__ == "__main__":
    app.run(main)
