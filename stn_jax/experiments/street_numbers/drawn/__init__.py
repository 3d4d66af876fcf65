"""Synthetic street numbers: pictures like those of SVHN, with their labels, but no download."""
