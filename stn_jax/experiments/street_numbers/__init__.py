"""Street View House Numbers (SVHN), whole numbers of 1 to 5 digits: section 4.2."""
