"""Reads and writes the files of a run's folder.

- `config.json`: `run_config.py`.
- `environment.json`: `stn_jax.experiments.training.environment`.
- `result.json`: `result.py`.
- `metrics.jsonl`: `metrics.py`; TensorBoard events: `tensorboard.py`.
- `theta.npz`: `theta_history.py`.
- `film/`: `film_frames.py`.
- `checkpoints/`: `stn_jax.experiments.training.checkpoints`.
"""
