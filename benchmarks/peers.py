"""Which of the libraries that we compare with are installed."""

import importlib.util

PEERS = ("torch", "kornia", "dm_pix")


def have(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def left_out() -> list[str]:
    """A line for each library that is missing."""
    return [
        f"{name} is not installed and left out: pip install -r benchmarks/requirements.txt"
        for name in PEERS
        if not have(name)
    ]
