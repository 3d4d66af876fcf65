"""Plots of the results of a run."""

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from benchmarks.jax_samplers import KINDS

_MARKERS = "os^vDPX*"
_FASTER = "time / our time (right of the line: ours is faster)"


def draw(parts: dict[str, list[dict]], folder: Path) -> list[str]:
    """Writes a plot for each part that has one, and returns the names of the files."""
    plots: dict[str, Callable] = {"sampler": sampler, "steps": steps, "growth": growth}
    names = []
    for part, records in parts.items():
        if part in plots and any(record.get("who", "ours") != "ours" for record in records):
            figure = plots[part](records)
            names.append(f"{part}.png")
            figure.savefig(folder / names[-1], dpi=110, bbox_inches="tight")
            plt.close(figure)
    return names


def sampler(records: list[dict]):
    """Plots each peer's time divided by ours, by kind and workload, with quartiles."""
    records = [record for record in records if record["from"] == "grid"]
    names = list(dict.fromkeys(record["workload"] for record in records))
    rows = -(-len(KINDS) // 2)
    figure, axes = plt.subplots(
        rows, 2, figsize=(9, rows * (1.2 + 0.36 * len(names))), sharey=True, sharex=True
    )
    for kind, ax in zip(KINDS, axes.flat, strict=True):
        mine = [record for record in records if record["kind"] == kind]
        _ratios(ax, mine, names, "workload", _peers(records))
        ax.set_title(kind)
    figure.supxlabel(_FASTER)
    figure.tight_layout()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def steps(records: list[dict]):
    """Plots each peer's time of a step divided by ours, by network, with quartiles."""
    records = [record | {"name": f"{record['group']}: {record['network']}"} for record in records]
    names = list(dict.fromkeys(record["name"] for record in records))
    figure, ax = plt.subplots(figsize=(7, 1.5 + 0.35 * len(names)))
    _ratios(ax, records, names, "name", _peers(records))
    ax.set_xscale("linear")  # ratios differ by less than a power of ten
    ax.set_xlabel(_FASTER)
    ax.legend(fontsize=8)
    figure.tight_layout()
    return figure


def _peers(records: list[dict]) -> list[str]:
    return [who for who in dict.fromkeys(record["who"] for record in records) if who != "ours"]


def _ratios(ax: Axes, records: list[dict], names: list[str], key: str, peers: list[str]) -> None:
    for number, peer in enumerate(peers):
        mine = [record for record in records if record["who"] == peer]
        ratios = [record["ratio"] for record in mine]
        middle = [ratio[1] for ratio in ratios]
        spread = [[r[1] - r[0] for r in ratios], [r[2] - r[1] for r in ratios]]
        shift = 0.6 * ((number + 0.5) / len(peers) - 0.5)
        places = [names.index(record[key]) + shift for record in mine]
        mark = _MARKERS[number % len(_MARKERS)]
        ax.errorbar(middle, places, xerr=spread, fmt=mark, markersize=4, lw=1, label=peer)
    ax.axvline(1, color="black", lw=0.8)
    ax.set_xscale("log", subs=())
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.4)
    for place in range(len(names) - 1):
        ax.axhline(place + 0.5, color="grey", lw=0.3)


def growth(records: list[dict]):
    """Plots time in the upper row and memory in the lower one, against what grows."""
    axis_of = {"batch": 0, "size": 1, "channels": 3}
    records = [record for record in records if record["grows"]]
    kinds = list(dict.fromkeys(record["grows"] for record in records))
    figure, axes = plt.subplots(2, len(kinds), figsize=(3.1 * len(kinds), 6), squeeze=False)
    for column, grows in enumerate(kinds):
        mine = [record for record in records if record["grows"] == grows]
        for kind in dict.fromkeys(record["kind"] for record in mine):
            row = int(kind == "memory")
            # Marks of torch are larger and empty: they also show where both are equal.
            for who, style, mark, size in (("ours", "-", "o", 3), ("torch", "--", "s", 7)):
                line = [record for record in mine if (record["kind"], record["who"]) == (kind, who)]
                x = [record["shape"][axis_of[grows]] for record in line]
                y = [r["bytes"] / 1e6 if row else 1000 * r["seconds"][1] for r in line]
                label = who if row else f"{who}, {kind}"
                color = {"forward": "C0", "both": "C1", "memory": "C2"}[kind]
                axes[row][column].plot(
                    *(x, y, style), marker=mark, ms=size, mfc="none", color=color, label=label
                )
        for row, label in enumerate(("milliseconds", "peak memory beyond the inputs, MB")):
            axes[row][column].set(xscale="log", yscale="log", xlabel=grows, ylabel=label)
            sizes = sorted({record["shape"][axis_of[grows]] for record in mine})
            axes[row][column].set_xticks(sizes, sizes)
            axes[row][column].minorticks_off()
            axes[row][column].grid(alpha=0.4)
            axes[row][column].legend(fontsize=8)
    figure.tight_layout()
    return figure
