"""Trains the rows of a table, such as one of the paper's, and writes the results to `results/`.

After an interruption, the same command resumes; finished rows are not run again. Without TABLE it
only rewrites the report, for example after notes were edited.
"""

from absl import logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli.parser import Parser

PROGRAM = "stn-jax reproduce"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    The code is 0, 1 if rows failed, 2 on wrong use, or 128 plus the number of the signal that
    stopped it.
    """
    parser = Parser(PROGRAM, __doc__)
    parser.add_argument("table", nargs="?", metavar="TABLE", help="mnist, svhn or gtsrb")
    parser.add_argument("--budget", default="minutes", help="trial, minutes, hours, ..., paper")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="such as 'rts-st_cnn*'")
    parser.add_argument("--list", action="store_true", help="only list the rows")
    parser.add_argument("--seeds", default=1, type=int, metavar="N", help="train N seeds together")
    parser.add_path("--out", default="results", metavar="DIR")
    for name in ("data_dir", "manual_dir"):  # as in launch.py and its messages
        parser.add_path(f"--config.data.{name}", dest=name, metavar="DIR")
    options = parser.parse_args(arguments)
    if options.table is None and parser.parse_args([f"--out={options.out}"]) != options:
        parser.error("name a TABLE: mnist (section 4.1), svhn (4.2) or gtsrb")

    # These imports are slow, so the options are checked first.
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.reproduce.paper_tables import find_tables
    from stn_jax.experiments.reproduce.results_page import write_report
    from stn_jax.experiments.reproduce.runner import reproduce, rows_text

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    data = {name: getattr(options, name) for name in ("data_dir", "manual_dir")}
    try:
        if options.list:
            selected = {name: getattr(options, name) for name in ("budget", "seeds", "out")}
            print(rows_text(options.table, pattern=options.rows, **selected))
            return 0
        if options.table is None:
            write_report(options.out, find_tables())
            failed = 0
        else:
            failed = reproduce(
                options.table,
                budget=options.budget,
                pattern=options.rows,
                seeds=options.seeds,
                out=options.out,
                data={name: str(folder) for name, folder in data.items() if folder},
            )
    except UserError as error:
        parser.error(str(error))
    print(f"report: {options.out / 'README.md'}")
    if failed:
        print(f"rows that failed: {failed}, see above; the same command will try them again")
    return int(failed > 0)
