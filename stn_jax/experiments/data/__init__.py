"""Example and batch types, batching, augmentation, and reading of image files."""
