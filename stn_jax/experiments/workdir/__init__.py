"""Reads and writes the files of a run's folder.

- `config.json`: `run_config.py`.
- `result.json`: `result.py`.
- `metrics.jsonl` and TensorBoard events: `metrics.py`.
- `theta.npz`: `theta_history.py`.
- `film/`: `film_frames.py`.
- `checkpoints/`: `stn_jax.experiments.training.checkpoints`.
"""
