"""Street View House Numbers: its archives, and the prepared data set."""
