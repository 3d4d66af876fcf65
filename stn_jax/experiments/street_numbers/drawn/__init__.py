"""Street numbers that are drawn: pictures like those of SVHN, with their labels, at no download."""
