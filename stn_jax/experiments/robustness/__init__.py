"""How a network's test error grows when the test images are turned, scaled or shifted."""
