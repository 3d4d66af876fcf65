"""The parts of tensorboardX that make event files, imported without torch.

tensorboardX imports torch where it is installed, for a type that these parts do not use. Without
this module, each start of a command would take about three seconds longer.
"""

import sys

_blocks = "torch" not in sys.modules
if _blocks:
    sys.modules["torch"] = None  # type: ignore[assignment]  # `import torch` raises ImportError
try:
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import masked_crc32c
    from tensorboardX.summary import histogram
finally:
    if _blocks:
        del sys.modules["torch"]

__all__ = ["Event", "SessionLog", "Summary", "histogram", "masked_crc32c"]
