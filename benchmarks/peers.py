"""The packages that only comparisons need, and which of them are installed."""

import importlib.util

PEERS = ("torch", "kornia", "dm_pix", "flatbuffers", "onnx", "onnxruntime", "onnxscript")


def have(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def left_out() -> list[str]:
    """Returns a line for each package that is missing."""
    return [
        f"{name} is left out, as it is not installed: pip install -r benchmarks/requirements.txt"
        for name in PEERS
        if not have(name)
    ]
