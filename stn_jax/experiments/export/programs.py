"""A network as a program from pixels to probabilities, which needs nothing of this package."""

import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
from jax import Array

import stn_jax
from stn_jax.errors import UserError
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network

PLATFORMS = ("cpu", "cuda", "tpu")
BATCH = "b"
INPUT, OUTPUT = "pixels", "probabilities"

_CHANNELS = {1: "brightness", 3: "red, green, blue"}


def classifier(network: Network) -> Callable[[Array], Array]:
    """Returns the function from pixels [B, *input_shape] uint8 to probabilities, float32."""

    def classify(pixels: Array) -> Array:
        images = find_task(network.config).from_pixels(pixels, network.config)
        logits: Any = network.model.apply(network.variables, images)
        return jax.nn.softmax(logits.astype(jnp.float32))

    return classify


def jax_program(network: Network) -> bytes:
    """Returns `classifier` as `jax.export` serialises it, for any batch and for `PLATFORMS`.

    Raises:
        UserError: flatbuffers is not installed.
    """
    _need("flatbuffers", "export")
    exported = jax.export.export(jax.jit(classifier(network)), platforms=PLATFORMS)
    return bytes(exported(_pixels(network)).serialize(vjp_order=0))


def onnx_model(network: Network) -> bytes:
    """Returns `classifier` as an ONNX model, for any batch, which computes in float32.

    Raises:
        UserError: onnx is not installed, or the network has an operation that is not supported.
    """
    _need("onnx", "onnx")
    from stn_jax.onnx import to_onnx

    config = network.config.copy_and_resolve_references()
    if "dtype" in config.model:
        config.model.dtype = "float32"
    network = network._replace(model=find_task(config).make_network(config))
    shape = (BATCH, *network.input_shape)
    return to_onnx(classifier(network), shape, jnp.uint8, input_name=INPUT, output_name=OUTPUT)


def description(network: Network) -> dict[str, Any]:
    """Returns what a user of the program must know, as for a JSON file."""
    output = jax.eval_shape(classifier(network), _pixels(network))
    channels = network.input_shape[-1]
    return {
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "shape": [BATCH, *network.input_shape],
            "axes": ["batch", "rows from the top", "columns from the left", _CHANNELS[channels]],
            "picture": find_task(network.config).PICTURE,
        },
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "shape": [BATCH, *output.shape[1:]],
        },
        "classes": list(network.labels.class_names),
        "made_by": f"stn_jax {stn_jax.__version__}, jax {jax.__version__}",
    }


def _pixels(network: Network) -> jax.ShapeDtypeStruct:
    (batch,) = jax.export.symbolic_shape(BATCH)
    return jax.ShapeDtypeStruct((batch, *network.input_shape), jnp.uint8)


def _need(module: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"this format needs {error.name}, which is not installed: "
            f"pip install 'stn_jax[{extra}]'"
        ) from error
