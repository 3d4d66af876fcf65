"""Street View House Numbers, whole numbers of 1 to 5 digits: section 4.2."""
