"""The command `stn-jax demo`: a local web page that shows trained networks at work."""

import os

# Gradio reports its use and looks for new versions over the network unless it is told not to.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
