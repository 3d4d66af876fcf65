"""Street View House Numbers (SVHN): its archives, and the prepared data set."""
