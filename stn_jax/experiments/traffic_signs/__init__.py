"""Photographs of German traffic signs (GTSRB) in 43 classes; this data set is not in the paper."""
