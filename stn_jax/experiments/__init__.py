"""The paper's experiments and others, built on the library. Try `stn-jax train quickstart`.

The rest of `stn_jax` does not import this package, which requires the extra `experiments`.

- `distorted_mnist/`, `street_numbers/`: one folder per experiment, with its data, network, config
  and published errors.
- `tasks.py`: the interface of an experiment, and the list of experiments.
- `data/`: data code that the experiments share.
- `labels.py`: the interface of labels, and images with one class label each.
- `training/`: pure step functions, their `jax.pmap` form, the training loop, checkpoints.
- `workdir/`: the files of a run's folder.
- `trained_networks.py`: loads a run's network or a pretrained one.
- `inference.py`, `predict_files.py`, `run_pictures.py`: what a network does with images.
- `report/`, `reproduce/`, `demo/`, `pretrained/`: uses of trained networks.
- `cli/`: `stn-jax` and the flags of `launch.py`. `shipped_configs.py`: where `configs/` is.
"""
