"""C++ kernels for the CPU, and the JAX primitives that call them.

- `*.cc`, `*.h`: the kernels, compiled by the user's own compiler when they are first needed.
- `library.py`: compiles them, keeps the library in the cache, and registers it with JAX.
- `primitive.py`: makes a JAX primitive that uses a kernel where it can, and plain JAX elsewhere.
"""
