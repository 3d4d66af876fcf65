"""Checks what the README promises about its first command."""

import json
from pathlib import Path

workdir = Path("runs/quickstart-seed0")
result = json.loads((workdir / "result.json").read_text())
print(json.dumps(result, indent=2))
assert result["test_error_percent"] <= 10, "at least 90% of the test digits must be right"
assert result["train_seconds"] <= 240, "at most 4 minutes of training on 2 cores"
assert (workdir / "figures" / "samples.png").stat().st_size > 10_000
