"""A local page to look at trained networks with: `stn-jax demo`."""
