"""Measures how the test error of trained runs grows when the test images are moved.

Test images are turned by 0 to 90 degrees, scaled by 0.5 to 1.5 or shifted by up to 30 per cent of
their width, one at a time. Runs of one task are shown side by side, in robustness.md,
robustness.png and robustness.json.
"""

from absl import logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli.parser import Parser

PROGRAM = "stn-jax robustness"


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code; exits with code 2 on wrong use."""
    parser = Parser(PROGRAM, __doc__)
    parser.add_path(
        "--workdir", action="append", default=[], metavar="DIR", help="a trained run; repeat it"
    )
    parser.add_path("--out", default=None, metavar="DIR", help="default: the first run's folder")
    options = parser.parse_args(arguments)
    if not options.workdir:
        parser.error("--workdir is missing: name the folder of a trained run")

    # These imports are slow, so the options are checked first.
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.robustness.runs import write_robustness

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    try:
        paths = write_robustness(options.workdir, options.out or options.workdir[0])
    except UserError as error:
        parser.error(str(error))
    print(f"robustness: {', '.join(map(str, paths))}")
    return 0
