"""Measurements, each with a command in its docstring. Times are compared within one run only."""
