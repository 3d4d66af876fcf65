"""Serves a local web page that shows trained networks at work, until it is interrupted."""

import argparse
import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator

from absl import logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli.parser import Parser

PROGRAM = "stn-jax demo"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def main(arguments: list[str]) -> int:
    """Serves the page until a signal stops it; exits with code 2 on wrong use."""
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
    try:
        with private_environment():
            return _serve(options)
    except UserError as error:
        parser.error(str(error))


@contextlib.contextmanager
def private_environment() -> Iterator[None]:
    """Prepares the process for Gradio, before it is imported, and cleans up at the end.

    Uploads go to a folder that only this user can read, and that is removed at the end. Proxies are
    not needed, because nothing is sent to the network, and some keep Gradio from starting.
    """
    try:
        uploads = tempfile.mkdtemp(prefix="stn-jax-demo-")
    except OSError as error:
        raise UserError(f"cannot make a folder for uploads: {error.strerror or error}") from error
    before = dict(os.environ)
    for name in before:
        if name.lower() in _PROXIES:
            del os.environ[name]
    # Single images are as fast without the C++ kernels, and the first start need not compile them.
    os.environ.setdefault("STN_JAX_NATIVE", "0")
    os.environ["GRADIO_TEMP_DIR"] = uploads
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(uploads, ignore_errors=True)


def _serve(options: argparse.Namespace) -> int:
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.demo import digits, numbers
    from stn_jax.experiments.demo.server import listen, serving
    from stn_jax.experiments.demo.shown_networks import SHIPPED, shown_networks
    from stn_jax.experiments.traffic_signs.drawn_signs import SIGNS, View, photograph
    from stn_jax.experiments.trained_networks import run_network

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    runs = [(workdir.resolve().name, run_network(workdir)) for workdir in options.workdir]
    networks = {task: shown_networks(task, runs) for task in SHIPPED}
    host = options.host.strip("[]")
    listener = listen(host, options.port)

    # This import takes seconds, so mistakes are reported first.
    from stn_jax.experiments.demo.page import build_page, page_app
    from stn_jax.experiments.demo.views import digit_view, number_view, picture_view

    app = page_app(build_page(networks))
    with serving(app, listener, host) as server:
        address = f"[{host}]" if ":" in host else host
        print(f"http://{address}:{options.port} (stop with Ctrl-C)", flush=True)
        # Compiles everything that the page runs while the user opens the browser.
        digit_view(networks["distorted_mnist"], digits.pick(0).image, digits.Pose())
        number_view(networks["street_numbers"], numbers.draw("1", scene=0))
        for task in ("traffic_signs", "own_pictures"):
            picture_view(networks[task], photograph(min(SIGNS), View(), scene=0))
        server.join()
    return 1  # the server has stopped by itself, and has said why
