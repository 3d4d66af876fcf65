"""Section 4.1, distorted MNIST: the sources of digits, the distortions and the networks."""
