"""What compilers for a TPU or a GPU say about our programs, on a machine that has neither.

XLA compiles ahead of time for a device that is not there. The times here are estimates of these
compilers, not measurements: good for choosing between two forms of one computation that differ by a
factor, not by a tenth.

- `platforms.py`: the devices, and the packages that compile for them
- `programs.py`: what is compiled: the sampler in all its forms, and training steps
- `compiling.py`: compiles one program in a process of its own, or finds it in the cache
- `hlo.py`, `bundles.py`, `costs.py`: read a compiled program and add up the times of its operations
- `tables.py`: the tables
"""
