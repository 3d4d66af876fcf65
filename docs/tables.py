"""Writes the tables of README.md and docs/ that repeat results: `python docs/tables.py`.

They are made from the records in results/ and benchmarks/results/ and from the cards of the trained
networks, so no number in them is typed. In a page, a table stands between `<!-- table: NAME -->`
and `<!-- end of table -->`.
"""

import itertools
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from stn_jax.experiments.distorted_mnist.published import ERRORS as DIGIT_ERRORS
from stn_jax.experiments.pretrained import list_pretrained
from stn_jax.experiments.reproduce.paper_tables import PaperTable, Row, find_tables
from stn_jax.experiments.reproduce.results_page import (
    compares,
    format_error,
    format_paper,
    mean_error,
    read_notes,
)
from stn_jax.experiments.reproduce.row_records import read_record, record_path, row_settings
from stn_jax.experiments.traffic_signs.published import ERRORS as SIGN_ERRORS

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/models.md",
    "docs/performance.md",
    "docs/results.md",
    "docs/rows.md",
    "docs/when_it_helps.md",
)
DISTORTIONS = ("R", "RTS", "P", "E", "TC")
NUMBERS = {
    "real, with drawn": "real street numbers",
    "128 px": "drawn street numbers",
}
"""Columns of street numbers, the best first."""


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        path.write_text(with_tables(path.read_text()))


def with_tables(text: str) -> str:
    """Returns the text of a page with its tables made anew."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(?=<!-- end of table -->)",
        lambda match: match[1] + TABLES[match[2]](),
        text,
        flags=re.DOTALL,
    )


def headline() -> str:
    """Returns our lowest errors beside published ones."""
    tables = find_tables()
    columns = [("test error, %", "stn_jax", "others")]
    for column in DISTORTIONS:
        paper = min(DIGIT_ERRORS[column.lower()].values())
        columns.append((column, linked(lowest(tables, "mnist", column)), f"{paper}¹"))
    column, words = next(each for each in NUMBERS.items() if lowest(tables, "svhn", each[0]))
    single, plain = (lowest(tables, "svhn", column, network) for network in ("ST-CNN", "CNN"))
    columns.append((words, linked(single), f"{linked(plain)}²"))
    signs = lowest(tables, "gtsrb", "GTSRB")
    shipped = {card.name: card for card in list_pretrained()}["traffic_signs_single"]
    error = f"[{shipped.error_percent:.2f}](docs/models.md)"
    error = linked(signs) if signs else error
    columns.append(("traffic signs", error, f"{min(SIGN_ERRORS.values())}³"))
    return markdown(list(zip(*columns, strict=True)))


def linked(record: dict) -> str:
    return f"[{format_error(record)}](docs/rows.md#{record['row']})"


def lowest(tables: dict[str, PaperTable], name: str, column: str, network: str = "") -> dict:
    """Returns the record with the lowest error of a column, or {} if there is none."""
    found = [
        record
        for row, record in records(name, tables[name])
        if row.column == column and row.network.startswith(network)
    ]
    return min(found, key=mean_error, default={})


def read(table: str, budget: str, row: str) -> dict | None:
    return read_record(record_path(ROOT / "results", table, budget, row))


def speed_line() -> str:
    """Returns a sentence on speed for the README."""
    measured = benchmarks()
    torch = re.search(r"torch [0-9.]+", measured["machines"]["sampler"]["packages"])[0]
    sampler, steps = (torch_ratios(measured["parts"][part]) for part in ("sampler", "steps"))
    (cost,) = cost_of_transformers(measured, "4.2, 64 px")
    return (
        f"Speed on a CPU, {torch}'s time divided by ours: sampler {spread(sampler)} "
        f"({len(sampler)} cases), training steps {spread(steps)} ({len(steps)} cases). "
        f"Four transformers make a step {cost:.2f} times as long (the paper: 1.06).\n"
    )


def speed() -> str:
    """Returns how fast we are, in groups of workloads."""
    measured = benchmarks()
    sampler, steps = measured["parts"]["sampler"], measured["parts"]["steps"]
    few, many = [], []
    for line in sampler:
        (few if int(line["workload"].split("x")[-1]) <= 3 else many).append(line)
    lines = [("torch's time / ours", "", "cases")]
    groups = {"sampler, 1 or 3 channels": few, "sampler, 48 channels and more": many}
    groups |= {
        f"training step, {line['group']}: {line['network']}": [line]
        for line in steps
        if line["who"] == "torch" and line["group"].startswith("4.1")
    }
    groups["training steps, 4.2"] = [line for line in steps if line["group"].startswith("4.2")]
    for words, group in groups.items():
        ratios = torch_ratios(group)
        lines.append((words, spread(ratios), str(len(ratios))))
    return markdown(lines)


PEERS = {
    "methods": lambda line: f"{line['method']}, three paddings",
    "volumes": lambda line: "linear, volumes",
    "splines": lambda line: f"cubic B-splines, {line['prefilter']}",
}
"""How each part with several peers groups its cases."""


def speed_of_methods() -> str:
    """Returns how fast each method is beside each peer, or only the head before it is measured."""
    parts = benchmarks()["parts"]
    groups: dict[tuple[str, str], list[float]] = {}
    for part, words in PEERS.items():
        for line in parts.get(part, ()):
            if line["who"] != "ours":
                groups.setdefault((words(line), line["who"]), []).append(line["ratio"][1])
    lines = [("sampler", "peer", "ours at least as fast", "peer's time / ours", "median")]
    for (words, peer), ratios in groups.items():
        fast = f"{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} cases"
        lines.append((words, peer, fast, spread(ratios), f"{statistics.median(ratios):.2f}"))
    return markdown(lines)


def benchmarks() -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / "results.json").read_text())


def torch_ratios(lines: Sequence[dict]) -> list[float]:
    """Returns torch's time over ours, for each workload."""
    return [line["ratio"][1] for line in lines if line["who"] == "torch"]


def spread(ratios: Sequence[float]) -> str:
    low, high = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
    return f"{low} times" if len(ratios) == 1 else f"{low} to {high} times"


def cost_of_transformers(measured: dict, group: str) -> list[float]:
    """Returns the time of a step of ST-CNN Multi over that of the CNN."""
    return [
        line["to plain"][1]
        for line in measured["parts"]["steps"]
        if (line["group"], line["network"], line["who"]) == (group, "multi", "ours")
    ]


PAIRS = (("fcn", "st_fcn_affine"), ("cnn", "st_cnn_affine"))


def with_and_without() -> str:
    """Returns errors without and with a transformer, for the most examples that both have seen."""
    table = find_tables()["mnist"]
    networks = {row.name.partition("-")[2]: row.network for row in table.rows}
    lines = [("without → with a transformer", *DISTORTIONS)]
    for pair in PAIRS:
        cells = []
        for column in DISTORTIONS:
            cell = ""
            for budget in table.budgets:
                found = [read("mnist", budget, f"{column.lower()}-{network}") for network in pair]
                if all(found) and len({record["runs"][0]["examples"] for record in found}) == 1:
                    cell = " → ".join(
                        f"[{mean_error(record):.2f}](rows.md#{record['row']})" for record in found
                    )
            cells.append(cell)
        lines.append((" → ".join(networks[network] for network in pair), *cells))
    return markdown(lines)


def models() -> str:
    """Returns the table of the trained networks that come with the package."""
    lines = [("name", "test error", "parameters", "images", "size", "licence", "data", "command")]
    for card in list_pretrained():
        lines.append(
            (
                f"`{card.name}`",
                f"{card.error_percent:.2f}%",
                f"{card.num_params:,}",
                card.input,
                f"{card.megabytes:.1f} MB",
                card.licence,
                card.data,
                f"`{card.command}`",
            )
        )
    return markdown(lines)


def distorted_mnist() -> str:
    """Returns the table of section 4.1: the lowest error of each network, linked to its row."""
    table = find_tables()["mnist"]
    lines = [("network", *DISTORTIONS)]
    for network in dict.fromkeys(row.network for row in table.rows):
        cells = [lowest_cell(table, network, column) for column in DISTORTIONS]
        if any(cells):
            lines.append((network, *cells))
    return markdown(lines)


def lowest_cell(table: PaperTable, network: str, column: str) -> str:
    found = [
        (row, record)
        for row, record in records("mnist", table)
        if (row.network, row.column) == (network, column) and compares(table, record)
    ]
    if not found:
        return ""
    row, record = min(found, key=lambda each: mean_error(each[1]))
    error = f"[{format_error(record)}](rows.md#{row.name})"
    if row.paper is not None and mean_error(record) <= row.paper:
        error = f"**{error}**"
    how = ", ".join(filter(None, (row.recipe, length(record))))
    return f"{error} ({format_paper(row)}) *{how}*"


def records(name: str, table: PaperTable) -> Iterator[tuple[Row, dict]]:
    """Yields the rows that were run, with a record for each budget, from small to large."""
    for row, budget in itertools.product(table.rows, table.budgets):
        if record := read(name, budget, row.name):
            yield row, record


def length(record: dict) -> str:
    return f"{record['config']['num_epochs']:g} epochs"


def rows() -> str:
    """Returns a section for each row that was run, with the command behind each error."""
    notes = read_notes(ROOT / "results" / "notes.toml", find_tables())
    parts = []
    for name, table in find_tables().items():
        heading = f"## {table.title.partition(':')[0]}\n"
        for row, group in itertools.groupby(records(name, table), key=lambda each: each[0]):
            found = [record for _, record in group]
            compared = row.paper is not None and any(compares(table, each) for each in found)
            paper = f" The paper: {format_paper(row)}%." if compared else ""
            parts += [heading, f"### {row.name}\n", f"{row.label}, on {row.column}.{paper}\n"]
            heading = ""
            for record in found:
                note = notes.get(name, {}).get(record["budget"], {}).get(row.name)
                parts += filter(None, [about_record(name, table, record), note and f"{note}\n"])
    return "\n".join(filter(None, parts))


def about_record(name: str, table: PaperTable, record: dict) -> str:
    """Returns what a record says, and the command that makes it again."""
    budget, row, runs = record["budget"], record["row"], record["runs"]
    seconds = sum(run["train_seconds"] / run["seeds_together"] for run in runs)
    devices = " and ".join(dict.fromkeys(run["device"] for run in runs))
    several = f" --seeds={len(runs)}" if len(runs) > 1 else ""
    seeds = f"{len(runs)} seeds" if several else "seed 0"
    facts = [length(record), f"{runs[0]['examples']:,} examples", seeds]
    facts.append(f"{seconds:,.0f} s on {devices}")
    if not compares(table, record):
        facts.append(f"{record['config']['data.source']} data")
    if record["config"] != row_settings(table.config(row, budget)):
        facts.append("with earlier settings")
    return (
        f"**{format_error(record)}%**: {', '.join(facts)} "
        f"([record](../results/{name}/{budget}/{row}.json))\n\n"
        f"```sh\nstn-jax reproduce {name} --budget={budget} --rows={row}{several} "
        "--out=my_results\n```\n"
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


TABLES = {
    "speed": speed,
    "speed_of_methods": speed_of_methods,
    "headline": headline,
    "with_and_without": with_and_without,
    "models": models,
    "distorted_mnist": distorted_mnist,
    "rows": rows,
    "speed_line": speed_line,
}

if __name__ == "__main__":
    main()
