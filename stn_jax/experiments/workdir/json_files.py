"""Writes and reads the JSON files of runs, which may be damaged or edited by hand."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from stn_jax.errors import UserError, shown

T = TypeVar("T")


class Kind(NamedTuple):
    """What an entry of a file may be."""

    description: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


NUMBER = Kind("a finite number", _is_number)
COUNT = Kind("a whole number", lambda value: type(value) is int and 0 <= value < 2**63)
TEXT = Kind("a text", lambda value: isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
LIST_OF_TEXTS = Kind(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value),
)
TEXTS = Kind(
    "an object of texts",
    lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
)


def read_json(path: Path, interpret: Callable[[Any], T], advice: str = "") -> T:
    """Reads a JSON file.

    Args:
        path: the file; a missing one raises FileNotFoundError.
        interpret: returns what the content stands for, or raises ValueError if it is invalid.
        advice: the end of the message about a file that is damaged or invalid.

    Raises:
        UserError: the file cannot be read, is damaged or invalid.
    """
    try:
        return interpret(json.loads(path.read_text("utf-8-sig")))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}{advice}") from error


def json_text(content: Any) -> str:
    """Returns the text of a file, with one entry per line, and each list of numbers on one line."""
    text = json.dumps(content, indent=1)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


def check_entries(content: object, kinds: Mapping[str, Kind]) -> None:
    """Raises ValueError unless `content` is an object that has entries of these kinds."""
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    for name, kind in kinds.items():
        if name not in content:
            raise ValueError(f"it has no {name}")
        if not kind.accepts(content[name]):
            raise ValueError(f"{name} is not {kind.description}: {shown(content[name])}")
