"""The files of a run's folder, and how they are read.

- `config.json`: `run_config.py`. `result.json`: `result.py`.
- `metrics.jsonl` and TensorBoard events: `metrics.py`.
- `theta.npz`: `theta_history.py`. `film/`: `film_frames.py`.
- `checkpoints/`: `stn_jax.experiments.training.checkpoints`.
"""
