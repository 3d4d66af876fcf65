"""Conversion of functions to ONNX, which other programs and languages can run.

- `conversion.py`: `to_onnx`, which walks through the operations that JAX traces.
- `operations.py`: what stands for each operation of JAX, and for those of this library.
- `graph.py`: the graph that is built.

This needs the extra `onnx`.
"""

from stn_jax.onnx.conversion import to_onnx

__all__ = ["to_onnx"]
