"""Traffic signs of the German Traffic Sign Recognition Benchmark (GTSRB)."""
