"""Estimates of compilers: what is read from their programs, and that they compile ours."""

import pytest

from benchmarks.accelerators import compiling, costs, platforms, programs, tables
from benchmarks.accelerators.bundles import read_kernel
from benchmarks.accelerators.hlo import Program
from benchmarks.workloads import SHORT_WORKLOADS

GATHER = """
%fused_gather (image: f32[64], index: s32[512]) -> f32[512] {
  ROOT %gather.1 = f32[512]{0} gather(%image, %index), slice_sizes={1}
}

%body (state: (s32[], f32[512])) -> (s32[], f32[512]) {
  %read = f32[512]{0} fusion(%a, %b), calls=%fused_gather, backend_config={"integer":"64"}
  %other = f32[512]{0} add(%read, %read), backend_config={"estimated_cycles":"1000"}
  ROOT %next = (s32[], f32[512]) tuple(%i, %other)
}

ENTRY %main (image: f32[64]) -> f32[512] {
  %loop = (s32[], f32[512]{0}) while(%start), body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %sent = f32[512]{0} all-reduce(%result), metadata={op_name="jit(step)/psum"}
  ROOT %waited = f32[512]{0} copy-done(%result), backend_config={"estimated_cycles":"9999"}
}
"""  # noqa: E501


def bundle(label="", depth=0, text="nop"):
    return f"  0x1 {label}: {'>' * depth} {{ {text} }}\n"


EXIT = "%p1 = scmp.ge.s32.totalorder %s1, 5 /* loop exit test */"
KERNEL = (
    bundle()
    + bundle("LB", 1)
    + bundle("", 1)
    + bundle("LB", 2)
    + bundle("", 2) * 199
    + bundle("", 1, EXIT)
    + bundle()
)
"""Two bundles, and a loop of four trips with three bundles and a loop of 200 of unknown length."""


def test_instructions_run_as_often_as_their_loop():
    program = Program(GATHER)
    runs = {instruction.name: times for instruction, times in program.executed()}
    assert (runs["read"], runs["other"], runs["sent"]) == (3, 3, 1)
    kinds = {instruction.name: program.kind(instruction) for instruction, _ in program.executed()}
    assert (kinds["read"], kinds["other"]) == ("gather", "add")


def test_bundles_count_as_often_as_their_loop():
    kernel = read_kernel(KERNEL)
    assert kernel.known_trips == 4
    assert kernel.cycles() == 2 + 4 * (3 + 200)
    assert kernel.cycles(unknown_trips=2) == 2 + 4 * (3 + 2 * 200)


def test_a_gather_counts_its_instructions_and_others_count_their_estimates():
    cost = costs.tpu_cost(GATHER, {"read": KERNEL}, clock=1e6)
    # 512 numbers are two inner loops of 64 in each of four trips.
    gather = 2 + 4 * (3 + 2 * 200)
    assert cost["kinds"] == {"gather": 3 * gather, "add": 3 * 1000}
    assert cost["microseconds"] == 3 * gather + 3 * 1000
    assert cost["without estimate"] == {"all-reduce": 1}


def test_a_kernel_lends_its_cost_to_its_equals_alone():
    instructions = """
ENTRY %main (image: f32[64]) -> f32[64] {
  %first = f32[64]{0} select-and-scatter(%image, %image)
  %second = f32[64]{0} select-and-scatter(%first, %first)
  ROOT %result = f32[64]{0} get-tuple-element(%second), index=0
}
"""
    cost = costs.tpu_cost(instructions, {"second": KERNEL}, clock=1e6)
    assert cost["kinds"] == {"select-and-scatter": 2 * (2 + 4 * (3 + 200))}


def test_a_platform_without_its_compiler_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(platforms, "PACKAGES", {"tpu": ("no-such-package",)})
    line = platforms.missing("v5e")
    assert "TPU v5e" in line and "no-such-package" in line and "pip install" in line
    assert "\n" not in line


def test_tables_say_that_nothing_was_measured():
    about = {"platform": "v5e", "part": "sampler", "workload": "1x2x2x1", "pass": "forward"}
    records = [
        {**about, "form": "library", "microseconds": 10.0},
        {**about, "form": "gathers", "microseconds": 25.0},
    ]
    page = tables.markdown(records)
    assert "not measured" in page
    assert "| 1x2x2x1 | forward | 10 | 25 | 2.50 |" in page


@pytest.mark.stress
@pytest.mark.parametrize("platform", ["v5e", "h100"])
def test_the_compilers_take_every_form_of_the_sampler(platform):
    if line := platforms.missing(platform):
        pytest.skip(line)
    every = [
        programs.Sampling(SHORT_WORKLOADS[0], direction, form)
        for direction in programs.PASSES
        for form in programs.FORMS
    ]
    for cost in compiling.estimates(platform, every, timeout=600):
        assert cost.get("error") is None
        assert cost["microseconds"] > 0
