"""MNIST: where its digits come from and the distortions of section 4.1."""
