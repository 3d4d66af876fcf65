"""Conversion of functions to ONNX, which other programs and languages can run.

- `conversion.py`: `to_onnx`, which walks through the operations that JAX traces.
- `operations.py`: what stands for each operation of JAX, and for those of this library.
- `graph.py`: the graph that is built.

This needs the extra `onnx`.
"""

try:
    from stn_jax.onnx.conversion import to_onnx
except ModuleNotFoundError as error:
    raise ImportError(
        f"stn_jax.onnx needs {error.name}, which is not installed: pip install 'stn_jax[onnx]'"
    ) from error

__all__ = ["to_onnx"]
