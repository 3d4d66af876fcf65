"""One file per experiment; `python launch.py --config=configs/NAME.py[:VARIANT]`."""
