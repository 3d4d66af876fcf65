"""Tables of estimated times."""

import re

from benchmarks import report
from benchmarks.accelerators.platforms import PLATFORMS

HEAD = """# Estimates for TPUs and GPUs

**Estimated by the compiler, not measured.** Each program was compiled ahead of time for a device
that was not there, and the times that the compiler expects of its operations were added up. Such
sums tell which of two forms is faster where they differ by a factor, not by a tenth.

- TPU: the cycles that the compiler notes for each operation. It notes none for gathers, scatters
  and sorts; for these, the instructions of the generated code were counted.
- GPU: XLA's analytical model. It knows bandwidths and operations, but neither collisions of atomic
  additions nor misses of caches, and it leaves out calls of libraries such as cuDNN. Nothing was
  tuned, since that needs the device.
- The compiler for TPUs has no estimate for collectives; the tables list them."""
_LEAST_SHARE = 0.01
_LONGEST = 10


def markdown(records: list[dict]) -> str:
    """Returns a page with all tables."""
    texts = [HEAD]
    for platform in dict.fromkeys(record["platform"] for record in records):
        here = [record for record in records if record["platform"] == platform]
        texts.append(f"## {PLATFORMS[platform].title}")
        if rows := [record for record in here if record["part"] == "sampler"]:
            texts += ["### Sampler", _sampler(rows)]
        if rows := [record for record in here if record["part"] == "steps"]:
            texts += ["### Training steps", _steps(rows)]
            texts += [text for record in rows for text in _longest(record)]
    return "\n\n".join(texts) + "\n"


def _sampler(records: list[dict]) -> str:
    """Returns a row for each workload and pass, with the microseconds of each form."""
    forms = list(dict.fromkeys(record["form"] for record in records))
    others = [form for form in forms if form != "library"]
    head = ["B x H x W x C", "pass", *(f"{form}, us" for form in forms)]
    rows = []
    for (workload, direction), found in _grouped(records).items():
        times = {form: found[form].get("microseconds") for form in forms if form in found}
        cells = [_number(times.get(form)) for form in forms]
        ratios = [_ratio(times.get(form), times.get("library")) for form in others]
        rows.append([workload, direction, *cells, *ratios])
    return report.table([*head, *(f"{form} / library" for form in others)], rows)


def _grouped(records: list[dict]) -> dict[tuple, dict[str, dict]]:
    groups: dict[tuple, dict[str, dict]] = {}
    for record in records:
        key = record["workload"], record["pass"]
        groups.setdefault(key, {})[record["form"]] = record
    return groups


def _steps(records: list[dict]) -> str:
    """Returns a row for each step, with what it consists of."""
    rows = []
    for record in records:
        first = [record["network"], record["devices"], record["dtype"]]
        if "error" in record:
            rows.append([*first, record["error"], "", "", "", ""])
            continue
        total = record["microseconds"]
        shares = [
            f"{name} {100 * time / total:.0f}%"
            for name, time in record["kinds"].items()
            if time >= _LEAST_SHARE * total
        ]
        rows.append(
            [
                *first,
                f"{total / 1000:.3g}",
                ", ".join(shares),
                ", ".join(f"{n} x {name}" for name, n in record["without estimate"].items()),
                f"{record['temporary bytes'] / 1e6:.0f}",
                ", ".join(f"{n} x {name}" for name, n in record["collectives"].items()),
            ]
        )
    head = ["network", "devices", "layers in", "ms per step", "of which", "without estimate"]
    return report.table([*head, "temporaries, MB", "collectives"], rows)


def _longest(record: dict) -> list[str]:
    """Returns a table of the longest operations of a step on one device."""
    if record["devices"] > 1 or "error" in record:
        return []
    rows = [
        [_number(time), kind, f"`{_without_layout(shape)}`", f"`{_short(origin)}`"]
        for time, kind, shape, origin in record["longest"][:_LONGEST]
    ]
    title = f"#### Longest operations: {record['network']}, {record['dtype']}"
    return [title, report.table(["us", "operation", "result", "origin"], rows)]


def _without_layout(shape: str) -> str:
    return re.sub(r"\{[^}]*\}", "", shape)


def _short(origin: str) -> str:
    """Returns the last parts of an operation's path, as `jit(train_step)` is in all of them."""
    return "/".join(origin.split("/")[1:][-5:])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _ratio(value: float | None, to: float | None) -> str:
    return "-" if value is None or not to else f"{value / to:.2f}"
