"""The command `stn-jax reproduce`, which reproduces the paper's tables, and its records."""
