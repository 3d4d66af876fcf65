"""Training: from a config to a trained network.

- `setup.py`: turns a config into data, model and optimiser.
- `steps.py`: one training step and one evaluation step, pure functions. `parallel.py`: these steps
  over all devices, with `jax.pmap`. `program.py`: both compiled for one seed or many (`seeds.py`).
- `loop.py`: the loop. `hooks.py`: what may watch it. `progress.py`: what it prints and records.
- `hosts.py`: what several processes of one run tell each other.
- `optimizer.py`, `evaluation.py`, `checkpoints.py`, `environment.py`, `diverged.py`.
"""
