"""What the experiments that classify photographs share: network, preprocessing and settings."""
