"""Serves a local web page that shows trained networks at work, until it is interrupted."""

import importlib.util
import os

from absl import logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli.parser import Parser

PROGRAM = "stn-jax demo"


def main(arguments: list[str]) -> int:
    """Serves the page until it is interrupted and returns 0; exits with 2 on wrong use."""
    parser = Parser(PROGRAM, __doc__)
    parser.add_path(
        "--workdir", action="append", default=[], metavar="DIR", help="show this run too"
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    parser.add_argument("--port", default=7860, type=int)
    options = parser.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        parser.error(f"--port must be 1 to 65535, got {options.port}")
    if importlib.util.find_spec("gradio") is None:
        parser.error("the demo needs Gradio, which is not installed: pip install 'stn_jax[demo]'")
    # Single images are as fast without the C++ kernels, and the first start need not compile them.
    os.environ.setdefault("STN_JAX_NATIVE", "0")

    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.demo import digits, numbers
    from stn_jax.experiments.demo.shown_networks import run_network, shipped_networks

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    try:
        runs = [run_network(workdir) for workdir in options.workdir]
        networks = {
            task: [*shipped_networks(task), *(run for run in runs if run.config.task == task)]
            for task in ("distorted_mnist", "street_numbers")
        }

        # These imports take seconds, so runs are read first: a wrong folder is reported at once.
        from stn_jax.experiments.demo.page import build_page, digit_view, number_view, serve

        page = build_page(networks["distorted_mnist"], networks["street_numbers"])
        serve(page, host=options.host, port=options.port)
        print(f"http://{options.host}:{options.port} (stop with Ctrl-C)", flush=True)
        # Compiles everything that the page runs while the user opens the browser.
        digit_view(networks["distorted_mnist"], digits.pick(0).image, digits.Pose())
        number_view(networks["street_numbers"], numbers.draw("1", scene=0))
        page.block_thread()
    except UserError as error:
        parser.error(str(error))
    return 0
