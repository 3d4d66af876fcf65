"""Trains, evaluates and applies spatial transformer networks; the flags are in the package.

Usage:
    python launch.py --config=configs/NAME.py[:VARIANT] [--workdir=DIR] [--config.key=value ...]
    python launch.py --mode=eval --workdir=DIR
    python launch.py --mode=predict --workdir=DIR IMAGE [IMAGE ...]
    python launch.py --mode=report --workdir=DIR [--workdir=DIR2 ...]
"""

from stn_jax.experiments.cli.flags import launch

if __name__ == "__main__":
    launch()
