"""A local page to look at trained networks with: `python -m stn_jax.demo`."""
