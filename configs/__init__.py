"""One file per experiment; `python launch.py --config=configs/NAME.py[:VARIANT]`.

`table_NAME.py` puts many of them together: `stn-jax reproduce NAME`.
"""
