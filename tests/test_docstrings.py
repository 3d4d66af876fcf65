"""Tests that every public docstring of the library has an example, and that all are correct."""

import doctest
import importlib
import inspect
import pkgutil

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax
import stn_jax.functional
import stn_jax.linen
import stn_jax.native
import stn_jax.nnx

PUBLIC = (
    "",
    ".transforms",
    ".sampling",
    ".functional",
    ".linen",
    ".native",
    ".nnx",
    ".onnx",
    ".visualization",
)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(stn_jax.__path__, "stn_jax.")
    if not module.name.startswith("stn_jax.experiments.")
    or module.name.endswith((".labels", ".pretrained"))
)
NAMES = {"jax": jax, "jnp": jnp, "np": np, "nnx": flax.nnx, "stn_jax": stn_jax}


def imported(name):
    if name.startswith("stn_jax.onnx"):
        pytest.importorskip("onnx", reason="the extra onnx is not installed")
    return importlib.import_module(name)


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_function_and_class_has_an_example(package):
    module = imported(f"stn_jax{package}")
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):  # not a constant or a type alias
            assert ">>> " in (thing.__doc__ or ""), name


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name):
    module = imported(name)
    runner = doctest.DocTestRunner(verbose=False)
    for test in Finder().find(module, extraglobs=NAMES):
        runner.run(test)
    assert runner.summarize().failed == 0


class Finder(doctest.DocTestFinder):
    """Finds the examples of decorated functions too."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))
