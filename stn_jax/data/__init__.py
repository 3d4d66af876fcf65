"""Data: where digits come from, how they are distorted and augmented, and in which order."""
