"""Packs the newest checkpoint of a finished run into the package, for `stn_jax.load_pretrained`."""

import sys

from absl import logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli.parser import Parser

PROGRAM = "python -m stn_jax.experiments.pretrained"


def main(arguments: list[str]) -> None:
    """Runs the command; exits with code 2 on wrong use."""
    parser = Parser(PROGRAM, __doc__)
    parser.add_path("workdir", metavar="WORKDIR", help="the run's folder")
    parser.add_argument("name", metavar="NAME", help="the network's name, such as st_cnn_affine")
    parser.add_argument("--command", required=True, help="that trained it, for the model card")
    parser.add_argument("--commit", required=True, help="of the code that trained it, for the card")
    options = parser.parse_args(arguments)

    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.pretrained.folders import CARD, WEIGHTS
    from stn_jax.experiments.pretrained.packing import pack

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    try:
        folder = pack(options.workdir, options.name, command=options.command, commit=options.commit)
    except UserError as error:
        parser.error(str(error))
    size = (folder / WEIGHTS).stat().st_size
    print(f"{folder}: {size / 1e6:.2f} MB of weights; model card: {folder / CARD}")


if __name__ == "__main__":
    main(sys.argv[1:])
