"""The paper's tables by one command, and the record of what was run: `python -m` this."""
