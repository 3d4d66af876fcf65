"""Export of a trained network to files that work without this package, or that it reads back.

- `programs.py`: a network as a program from pixels to probabilities, for JAX and as ONNX.
- `cards.py`: the model card of a run.
- `formats.py`: the formats, and the files of each.
"""

from stn_jax.experiments.export.formats import FORMATS, export_network

__all__ = ["FORMATS", "export_network"]
