"""Trains, evaluates and applies spatial transformer networks; the flags are in the package.

Usage:
    python launch.py --config=configs/NAME.py[:VARIANT] [--workdir=DIR] [--config.key=value ...]
    python launch.py --config=... --coordinator=HOST:PORT|auto [--num_processes=N --process_id=I]
    python launch.py --mode=eval --workdir=DIR
    python launch.py --mode=predict --workdir=DIR [--top=N] [--out=DIR|FILE] IMAGE|FOLDER ...
    python launch.py --mode=predict --pretrained=NAME [--out=DIR [--save-crops]] IMAGE|FOLDER ...
    python launch.py --mode=export --workdir=DIR --format=jax|onnx|folder [--out=DIR]
    python launch.py --mode=export --pretrained=NAME --format=jax|onnx|folder [--out=DIR]
    python launch.py --mode=report --workdir=DIR [--workdir=DIR2 ...] [--output=FILE]
"""

import os
import signal


def _stop_importing(number: int, _: object) -> None:
    os.write(2, b"launch.py: stopped\n")
    os._exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # until `launch` has its own handlers
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop_importing)

    from stn_jax.experiments.cli.flags import launch

    launch()
