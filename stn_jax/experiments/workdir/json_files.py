"""Reads the JSON files of a run, which may be damaged or edited by hand."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stn_jax.errors import UserError


class Kind(NamedTuple):
    """What an entry of a file may be."""

    description: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


NUMBER = Kind("a finite number", _is_number)
COUNT = Kind("a whole number", lambda value: type(value) is int and 0 <= value < 2**63)
TEXT = Kind("a text", lambda value: isinstance(value, str))
TEXTS = Kind(
    "an object of texts",
    lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
)


def read_json(path: Path, check: Callable[[Any], None], advice: str = "") -> Any:
    """Reads a JSON file.

    Args:
        path: the file; a missing one raises FileNotFoundError.
        check: raises ValueError if the content is not what it should be.
        advice: what to do about a file that cannot be used, for the message.

    Raises:
        UserError: the file cannot be read, or is not what it should be.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        check(content)
        return content
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}{advice}") from error


def check_entries(content: object, kinds: Mapping[str, Kind]) -> None:
    """Raises ValueError unless `content` is an object that has entries of these kinds."""
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    for name, kind in kinds.items():
        if name not in content:
            raise ValueError(f"it has no {name}")
        if not kind.accepts(content[name]):
            raise ValueError(f"{name} is not {kind.description}: {str(content[name])[:40]!r}")
