"""The packages that only comparisons need, and which of them are installed."""

import importlib.util

PEERS = {
    "torch": "torch",
    "kornia": "kornia",
    "dm_pix": "dm_pix",
    "torch-interpol": "interpol",
    **{name: name for name in ("flatbuffers", "onnx", "onnxruntime", "onnxscript")},
}
"""The modules of the packages."""


def have(package: str) -> bool:
    return importlib.util.find_spec(PEERS[package]) is not None


def left_out() -> list[str]:
    """Returns a line for each package that is missing."""
    return [
        f"{name} is left out, as it is not installed: pip install -r benchmarks/requirements.txt"
        for name in PEERS
        if not have(name)
    ]
