"""A rule for `jax.experimental.jet`, which computes higher derivatives as Taylor series."""

import math

import jax
import jax.numpy as jnp
from jax.experimental import jet
from jax.extend.core import Primitive


def add_jet_rule(primitive: Primitive) -> None:
    """Makes `jet` differentiate a primitive by its own forward mode."""

    def rule(primals, series, **params):
        # `jet` passes and expects Taylor coefficients: derivatives divided by factorials.
        def along_curve(t):
            def moved(x, coefficients):
                total = jnp.zeros_like(x)
                for coefficient in reversed(coefficients):
                    total = t.astype(x.dtype) * (coefficient + total)
                return x + total

            return primitive.bind(*map(moved, primals, series), **params)

        def derivative(function):
            return lambda t: jax.jvp(function, (t,), (jnp.ones_like(t),))[1]

        start = jnp.zeros((), primals[0].dtype)
        function, coefficients = along_curve, []
        for order in range(len(series[0]) + 1):
            coefficients.append(function(start) / math.factorial(order))
            function = derivative(function)
        return coefficients[0], coefficients[1:]

    jet.jet_rules[primitive] = rule  # type: ignore[assignment]
