"""The kinds of settings that a config has: which values each allows, and how a flag is read.

Each task has a table `FIELDS` of its settings, by dotted name, next to its config;
`config_check.py` has the settings that all tasks share, and checks configs against both.
"""

import ast
import re
from dataclasses import dataclass
from typing import Any

from stn_jax.errors import UserError, check_choice, shown
from stn_jax.experiments.user_paths import user_path

_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Field:
    """A kind of setting; `str(field)` describes the values that it accepts."""

    def accepts(self, value: Any) -> bool:
        """Returns whether a setting of this kind can have this value."""
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Returns the value that `text` stands for; may raise if it stands for none."""
        return text

    def check(self, name: str, value: object) -> None:
        """Raises UserError unless the setting called `name` can have this value."""
        if not self.accepts(value):
            raise UserError(f"{name} must be {self}, got {shown(value)}")

    def read(self, name: str, text: str) -> Any:
        """Returns the value that `text` stands for; raises UserError if it stands for none."""
        try:
            return self.parse(text)
        except (ValueError, LookupError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise UserError(f"{name} must be {self}, got {shown(text)}") from None


@dataclass(frozen=True)
class Integer(Field):
    """An integer in least..most."""

    least: int
    most: int

    def parse(self, text: str) -> int:
        return int(text)

    def accepts(self, value: Any) -> bool:
        return type(value) is int and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"an integer in {self.least}..{self.most}"


@dataclass(frozen=True)
class SideOrShape(Integer):
    """The side of a square, or a height and a width, each an integer in least..most."""

    def parse(self, text: str) -> Any:
        value = ast.literal_eval(text)
        return tuple(value) if isinstance(value, list) else value

    def accepts(self, value: Any) -> bool:
        if isinstance(value, tuple | list):
            return len(value) == 2 and all(super(SideOrShape, self).accepts(side) for side in value)
        return super().accepts(value)

    def __str__(self) -> str:
        return f"{super().__str__()}, or two, such as (32, 96), for height and width"


@dataclass(frozen=True)
class Real(Field):
    """A number in least..most, possibly without one or both ends, and possibly 0."""

    least: float
    most: float
    above: bool = False
    """Whether `least` itself is excluded."""
    below: bool = False
    """Whether `most` itself is excluded."""
    or_zero: bool = False

    def parse(self, text: str) -> float:
        return float(text)

    def accepts(self, value: Any) -> bool:
        if type(value) not in (int, float):
            return False
        if self.or_zero and value == 0:
            return True
        is_enough = self.least < value if self.above else self.least <= value
        return is_enough and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.least:g}"
        high = f"{'below' if self.below else 'at most'} {self.most:g}"
        return f"{'0 or ' if self.or_zero else ''}a number {low} and {high}"


@dataclass(frozen=True)
class Switch(Field):
    """True or False."""

    def parse(self, text: str) -> bool:
        return _WORDS[text.lower()]

    def accepts(self, value: Any) -> bool:
        return type(value) is bool

    def __str__(self) -> str:
        return "True or False"


DTYPES = ("float32", "bfloat16")
"""What layers can compute in."""


@dataclass(frozen=True)
class Choice(Field):
    """One of a few names."""

    choices: tuple[str, ...]

    def check(self, name: str, value: object) -> None:
        check_choice(value, self.choices, name)

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"


@dataclass(frozen=True)
class Widths(Field):
    """The widths of layers: a tuple or a list of positive integers."""

    most_layers: int
    most: int
    least_layers: int = 1

    def parse(self, text: str) -> tuple:
        value = ast.literal_eval(text)
        return tuple(value) if isinstance(value, tuple | list) else (value,)

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and self.least_layers <= len(value) <= self.most_layers
            and all(type(width) is int and 1 <= width <= self.most for width in value)
        )

    def __str__(self) -> str:
        count = f"{self.least_layers} to {self.most_layers}"
        if self.least_layers == self.most_layers:
            count = f"{self.most_layers}"
        return f"{count} positive widths, such as (32, 64), each at most {self.most}"


@dataclass(frozen=True)
class Places(Widths):
    """Some of the layers, counted from 1, in increasing order."""

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) and sorted(set(value)) == list(value)

    def __str__(self) -> str:
        return f"increasing numbers of layers, counted from 1, such as (1, 3), up to {self.most}"


@dataclass(frozen=True)
class Text(Field):
    """A text that can be printed, possibly empty."""

    most: int

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and len(value) <= self.most and value.isprintable()

    def __str__(self) -> str:
        return f"a text of at most {self.most} characters, without control characters"


@dataclass(frozen=True)
class Pattern(Text):
    """A regular expression."""

    def accepts(self, value: Any) -> bool:
        if not super().accepts(value):
            return False
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError):
            return False
        return True

    def __str__(self) -> str:
        return f"a regular expression of at most {self.most} characters"


@dataclass(frozen=True)
class Names(Field):
    """Different names, possibly none."""

    most: int
    longest: int = 255

    def parse(self, text: str) -> tuple:
        is_python = text.startswith(("(", "["))
        return tuple(ast.literal_eval(text) if is_python else filter(None, text.split(",")))

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) <= self.most
            and all(isinstance(name, str) and name.isprintable() for name in value)
            and all(0 < len(name) <= self.longest for name in value)
            and len(set(value)) == len(value)
        )

    def __str__(self) -> str:
        return f"at most {self.most} different names, such as cat,dog, or () for none"


@dataclass(frozen=True)
class FileName(Field):
    """A name that files and folders can have."""

    most: int = 100

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, str)
            and 0 < len(value) <= self.most
            and value.isprintable()
            and not value.startswith((".", "~"))
            and not set(value) & set('/\\:*?"<>|')
        )

    def __str__(self) -> str:
        return (
            f"the name of a folder (at most {self.most} characters, no separators such as /, and "
            "no . or ~ at the start)"
        )


@dataclass(frozen=True)
class FolderPath(Field):
    """The path of a folder, or "" for a default."""

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value.isprintable()

    def read(self, name: str, text: str) -> str:
        return str(user_path(text, name)) if text else ""

    def __str__(self) -> str:
        return 'the path of a folder, or "", without control characters'


@dataclass(frozen=True)
class FilePath(FolderPath):
    """The path of a file, or "" for none."""

    def __str__(self) -> str:
        return 'the path of a file, or "", without control characters'
