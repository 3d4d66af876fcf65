"""C++ kernels for the CPU, and the JAX primitives that call them.

- `*.cc`, `*.h`: the kernels, compiled by the user's own compiler when they are first needed.
- `compiler.py`: finds the compiler and runs it.
- `library.py`: keeps the library in the cache, loads it, and registers it with JAX.
- `primitive.py`: makes a JAX primitive that uses a kernel where it can, and plain JAX elsewhere.

`status()` says whether the kernels are in use, and if not, why.
"""

from stn_jax.native.library import Status, status

__all__ = ["Status", "status"]
