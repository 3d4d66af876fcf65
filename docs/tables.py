"""Writes the tables of README.md and docs/ that repeat results: `python docs/tables.py`.

They are made from the records in results/ and benchmarks/results/ and from the cards of the trained
networks, so no number in them is typed. In a page, a table stands between `<!-- table: NAME -->`
and `<!-- end of table -->`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stn_jax.experiments.distorted_mnist.published import ERRORS as DIGIT_ERRORS
from stn_jax.experiments.pretrained import list_pretrained
from stn_jax.experiments.reproduce.paper_tables import PaperTable, find_tables
from stn_jax.experiments.reproduce.results_page import format_error, mean_error
from stn_jax.experiments.reproduce.row_records import read_record, record_path
from stn_jax.experiments.traffic_signs.published import ERRORS as SIGN_ERRORS

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/models.md",
    "docs/performance.md",
    "docs/results.md",
    "docs/when_it_helps.md",
)
DISTORTIONS = {
    "R": "rotated digits (R)",
    "RTS": "rotated, scaled, shifted (RTS)",
    "P": "in perspective (P)",
    "E": "elastically deformed (E)",
    "TC": "shifted, among clutter (TC)",
}
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
    """Returns our lowest errors and our speed beside published ones, in ten lines."""
    tables = find_tables()
    lines: list[Sequence[str]] = [("test error; speed", "stn_jax", "compared with")]
    for column, words in DISTORTIONS.items():
        ours = lowest(tables, "mnist", column)
        (network,) = (row.network for row in tables["mnist"].rows if row.name == ours["row"])
        paper = min(DIGIT_ERRORS[column.lower()].values())
        lines.append((words, f"{format_error(ours)}%, {network}", f"the paper: {paper}%"))
    column, words = next(each for each in NUMBERS.items() if lowest(tables, "svhn", each[0]))
    single, plain = (
        format_error(lowest(tables, "svhn", column, network)) for network in ("ST-CNN", "CNN")
    )
    lines.append((words, f"{single}%", f"without a transformer: {plain}%"))
    signs = lowest(tables, "gtsrb", "GTSRB")
    shipped = {card.name: card for card in list_pretrained()}["traffic_signs_single"]
    error = f"{format_error(signs)}%" if signs else f"{shipped.error_percent:.2f}%"
    published = f"lowest published: {min(SIGN_ERRORS.values())}%"
    lines.append(("traffic signs (GTSRB)", error, published))
    return markdown([*lines, *speed_lines()])


def lowest(tables: dict[str, PaperTable], name: str, column: str, network: str = "") -> dict:
    """Returns the record with the lowest error of a column, or {} if there is none."""
    table = tables[name]
    records = [
        record
        for row in table.rows
        if row.column == column and row.network.startswith(network)
        for budget in table.budgets
        if (record := read(name, budget, row.name))
    ]
    return min(records, key=mean_error, default={})


def read(table: str, budget: str, row: str) -> dict | None:
    return read_record(record_path(ROOT / "results", table, budget, row))


def speed_lines() -> Iterator[Sequence[str]]:
    """Yields three lines of the headline table on speed."""
    measured = benchmarks()
    torch = re.search(r"torch [0-9.]+", measured["machine"]["packages"])[0]
    for part, words in (("sampler", "the sampler"), ("steps", "training steps")):
        ratios = torch_ratios(measured["parts"][part])
        yield f"speed of {words} on a CPU", spread(ratios), f"{torch}, {len(ratios)} cases"
    (cost,) = cost_of_transformers(measured, "4.2, 64 px")
    yield "time with four transformers", f"{cost:.2f} times that without", "the paper: 1.06 times"


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
                    cell = " → ".join(f"{mean_error(record):.2f}" for record in found)
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
    """Returns the first table of results/README.md, which is made from the records."""
    report = (ROOT / "results" / "README.md").read_text()
    return re.search(r"(?:^\|.*\n)+", report, flags=re.MULTILINE)[0]


def markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


TABLES = {
    "speed": speed,
    "headline": headline,
    "with_and_without": with_and_without,
    "models": models,
    "distorted_mnist": distorted_mnist,
}

if __name__ == "__main__":
    main()
