"""Training: losses, optimiser, pure steps, their parallel form, the loop, checkpoints."""
