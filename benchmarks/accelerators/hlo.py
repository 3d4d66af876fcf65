"""Reads the text of a compiled program."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<shape>\(.*?\)|\S+) (?P<opcode>[\w\-]+)\("
)
_CALLED = re.compile(r"(?:to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_TOLD_KINDS = ("scatter", "gather", "sort", "convolution", "dot")


class Instruction(NamedTuple):
    """An instruction of a computation."""

    name: str
    shape: str
    opcode: str
    text: str
    """The whole line."""

    @property
    def origin(self) -> str:
        """The JAX functions that it comes from."""
        found = re.search(r'op_name="([^"]*)"', self.text)
        return found[1] if found else ""

    def number(self, key: str) -> float | None:
        """Returns a number of the compiler's notes, or None if it is not there."""
        found = re.search(rf'"{key}":"?([\d.]+)', self.text)
        return float(found[1]) if found else None

    def refers_to(self, key: str) -> str | None:
        found = re.search(rf'{key}=[%"]?([\w.\-]+)', self.text)
        return found[1] if found else None


class Program:
    """A compiled program, as computations made of instructions."""

    def __init__(self, text: str) -> None:
        self._computations: dict[str, list[Instruction]] = {}
        self._entry = ""
        lines: list[Instruction] = []
        for line in text.splitlines():
            if head := _HEAD.match(line):
                lines = self._computations[head["name"]] = []
                self._entry = head["name"] if head["entry"] else self._entry
            elif found := _INSTRUCTION.match(line.strip()):
                lines.append(Instruction(**found.groupdict(), text=line.strip()))

    def executed(self) -> Iterator[tuple[Instruction, int]]:
        """Yields each instruction that runs, and how often; loops of unknown length run once."""
        yield from self._executed(self._entry, 1)

    def _executed(self, computation: str, times: int) -> Iterator[tuple[Instruction, int]]:
        for instruction in self._computations.get(computation, ()):
            text = instruction.text
            if instruction.opcode == "while":
                trips = _TRIPS.search(text)
                body = instruction.refers_to("body") or ""
                yield from self._executed(body, times * int(trips[1]) if trips else times)
            elif instruction.opcode in ("call", "conditional"):
                called = _CALLED.findall(text)
                for branches in _BRANCHES.findall(text):
                    called += [name.strip(" %") for name in branches.split(",")]
                for name in called:
                    yield from self._executed(name, times)
            else:
                yield instruction, times

    def fused(self, instruction: Instruction) -> list[Instruction]:
        """Returns the instructions inside a fusion, those of fusions inside it included."""
        inside = self._computations.get(instruction.refers_to("calls") or "", [])
        return [*inside, *(deeper for one in inside for deeper in self.fused(one))]

    def kind(self, instruction: Instruction) -> str:
        """Returns what takes the time in an instruction, such as "gather", or else its opcode."""
        opcodes = {instruction.opcode, *(one.opcode for one in self.fused(instruction))}
        return next((kind for kind in _TOLD_KINDS if kind in opcodes), instruction.opcode)
