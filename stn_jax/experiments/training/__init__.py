"""Training: losses, optimiser, pure step functions, their parallel form, the loop, checkpoints."""
