"""The command line: `stn-jax` and `launch.py`.

- `__main__.py`: `stn-jax` and its subcommands.
- `flags.py`: the flags of `launch.py`, which `stn-jax train`, `eval`, `predict`, `export` and
  `report` share.
- `modes.py`: what these five do.
- `usage.py`: what `--help` prints.
- `parser.py`: the argument parser of `stn-jax robustness`, `reproduce` and `demo`.
"""
