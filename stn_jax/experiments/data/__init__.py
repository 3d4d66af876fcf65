"""Data: where examples come from, how they are made into images, and in which order."""
