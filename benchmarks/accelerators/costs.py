"""Adds up the times of a compiled program's operations, as its compiler estimates them."""

import collections
import math
import re
from collections.abc import Callable, Mapping

from benchmarks.accelerators.bundles import Loop, read_kernel
from benchmarks.accelerators.hlo import Instruction, Program

_KEPT = 40
"""How many of a program's longest operations are kept."""
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "partition-id")


def tpu_cost(text: str, kernels: Mapping[str, str], clock: float) -> dict:
    """Returns the cost of a program for a TPU.

    Args:
        text: the compiled program.
        kernels: the final bundles of its kernels, by name. Of equal kernels, one is enough.
        clock: cycles per second.
    """
    program = Program(text)
    equal: dict[tuple, float] = {}  # kernels that equal one that is in `kernels`

    def microseconds(instruction: Instruction) -> float | None:
        if instruction.opcode.endswith("-done"):  # repeats the notes of what it waits for
            return None
        cycles = instruction.number("estimated_cycles")
        if cycles is None:
            cycles = _cycles_of_bundles(program, instruction, kernels)
            fused = (one.opcode for one in program.fused(instruction))
            form = instruction.opcode, instruction.shape, *fused
            cycles = equal.setdefault(form, cycles) if cycles else equal.get(form)
        return None if cycles is None else 1e6 * cycles / clock

    for instruction, _ in program.executed():
        microseconds(instruction)  # finds the kernels that others equal
    return _cost(program, microseconds)


def gpu_cost(text: str) -> dict:
    """Returns the cost of a program for a GPU, by XLA's analytical model.

    The model knows memory bandwidth and operations. It knows neither collisions of atomic additions
    nor misses of caches, and it leaves out calls of libraries such as cuDNN.
    """
    return _cost(Program(text), lambda instruction: instruction.number("exec_time_us"))


def _cost(program: Program, microseconds: Callable[[Instruction], float | None]) -> dict:
    kinds: dict[str, float] = collections.defaultdict(float)
    unknown: dict[str, int] = collections.Counter()
    longest = []
    for instruction, times in program.executed():
        each = microseconds(instruction)
        kind = program.kind(instruction)
        if each is not None:
            kinds[kind] += times * each
            longest.append((times * each, kind, instruction.shape, instruction.origin))
        elif kind == "custom-call":
            unknown[instruction.refers_to("custom_call_target") or kind] += times
        elif kind not in _FREE and not kind.endswith(("-start", "-done")):
            unknown[kind] += times
    return {
        "microseconds": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items(), key=lambda item: item[1], reverse=True)),
        "without estimate": dict(unknown),
        "longest": sorted(longest, reverse=True)[:_KEPT],
    }


def _cycles_of_bundles(
    program: Program, instruction: Instruction, kernels: Mapping[str, str]
) -> float | None:
    code = kernels.get(instruction.name) or kernels.get(f"{instruction.name}.clone")
    if code is None:
        return None
    kernel = read_kernel(code)
    return kernel.cycles(_trips_of_gather(program, instruction, kernel))


def _trips_of_gather(program: Program, instruction: Instruction, kernel: Loop) -> float:
    """Returns how often the loop over slices runs within the loops of known lengths.

    The compiler notes how many slices of a gather it copies in one trip. The loop of a scatter runs
    once for each block of slices.
    """
    at_once = instruction.number("integer")
    slices = sum(map(_gathered_slices, (instruction, *program.fused(instruction))))
    if not slices or not at_once:
        return 1
    return max(1, round(slices / kernel.known_trips / at_once))


def _gathered_slices(instruction: Instruction) -> int:
    sizes = re.search(r"slice_sizes=\{([\d,]*)\}", instruction.text)
    if instruction.opcode != "gather" or not sizes:
        return 0
    return _size(instruction.shape) // math.prod(map(int, sizes[1].split(",")))


def _size(shape: str) -> int:
    sizes = re.search(r"\[([\d,]*)\]", shape)
    return math.prod(int(size) for size in sizes[1].split(",") if size) if sizes else 0
