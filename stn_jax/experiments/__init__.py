"""The paper's experiments and others, on top of the library: `stn-jax train quickstart`.

Nothing in the rest of `stn_jax` imports this package. It needs the extra `experiments`.

- `distorted_mnist/`, `street_numbers/`: one folder per experiment, with its data, its network, its
  config and the published figures.
- `tasks.py`: what the shared code asks of an experiment, and the list of experiments.
- `data/`: what experiments share about data. `labels.py`: images with one class label each.
- `training/`: pure steps, their `jax.pmap`-ed form, the loop, checkpoints.
- `workdir/`: the files of a run's folder.
- `inference.py`, `prediction.py`, `run_pictures.py`: what a network does with images.
- `report/`, `reproduce/`, `demo/`, `pretrained/`: what is made of trained networks.
- `launcher.py`, `commands.py`, `command_line.py`: the commands.
"""
