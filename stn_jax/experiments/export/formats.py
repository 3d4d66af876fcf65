"""The formats that a network is exported to, and the files of each."""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.export.programs import description, jax_program, onnx_model
from stn_jax.experiments.pretrained.folders import network_files, write_files
from stn_jax.experiments.trained_networks import Network

_PROGRAMS: dict[str, Callable[[Network], bytes]] = {"jax": jax_program, "onnx": onnx_model}
FORMATS = (*_PROGRAMS, "folder")


def export_network(network: Network, to: str, out: str | Path, *, card: str) -> list[Path]:
    """Exports a network to files in the folder `out`, which replace earlier ones.

    Args:
        network: the network.
        to: "jax" for `model.jax`, a program that `jax.export.deserialize` reads, or "onnx" for
            `model.onnx`, and `model.json`, which describes its input and output; or "folder" for
            `model.safetensors`, `config.json` and `README.md`, which `load_pretrained` reads.
        out: the folder; it is made if it does not exist.
        card: the text of `README.md`.

    Returns:
        The paths of the files.

    Raises:
        UserError: the format is unknown or cannot represent the network, its extra is not
            installed, the network's weights are not finite, or the files cannot be written.
    """
    check_choice(to, FORMATS, "format")
    out = Path(out)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(network.variables)):
        raise UserError("the weights are not finite, because training diverged: train again")
    if to == "folder":
        return write_files(out, network_files(network.config, network.variables, card))
    text = json.dumps(description(network), indent=2, ensure_ascii=False) + "\n"
    program = _PROGRAMS[to](network)
    return write_files(out, {f"model.{to}": program, "model.json": text})
