"""The paper's tables by one command, `stn-jax reproduce`, and the records of what was run."""
