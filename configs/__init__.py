"""One file per experiment: run `python launch.py --config=configs/NAME.py[:VARIANT]`.

`table_NAME.py` combines many experiments: run `stn-jax reproduce NAME`.
"""
