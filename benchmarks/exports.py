"""Exported networks against torch's exports of the same networks with the same weights.

A program takes pixels, uint8, and returns probabilities: it normalises the pixels, runs the network
and takes the softmax. It takes any batch. Ours in the format of `jax.export` has no C++ kernels,
because it must run without this package; it is compared with the program of `torch.export`, and
with the same compiled ahead of time by AOTInductor. The ONNX models, ours and that of
`torch.onnx.export`, both run in onnxruntime.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import networks, report, timing
from benchmarks.checks import check_agreement
from benchmarks.peers import have
from benchmarks.settings import Settings
from stn_jax.experiments.export.programs import INPUT, jax_program, onnx_model
from stn_jax.experiments.trained_networks import Network

TITLE = "Exported networks"
BATCHES = (1, 64)

Run = Callable[[], object]  # returns probabilities
Program = Callable[[np.ndarray], Run]  # prepares its input, pixels [B, H, W, C]


def configs(settings: Settings) -> dict[str, ConfigDict]:
    """Returns the networks by name."""
    if settings.short:
        made = {"4.2: single": networks.section_4_2("single", 64, settings.recipe)}
        networks.shrink(made["4.2: single"])
        return made
    return {
        "4.1: cnn": networks.section_4_1("cnn", settings.recipe),
        "4.1: st_cnn_affine": networks.section_4_1("st_cnn_affine", settings.recipe),
        "4.2: single": networks.section_4_2("single", 64, settings.recipe),
    }


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each network, batch, format and program that can be made here."""
    del earlier
    if jax.default_backend() != "cpu":
        settings.say("exported networks are left out: they are compared on a CPU only")
        return []
    records: list[dict] = []
    for name, config in configs(settings).items():
        made = networks.make(config)
        variables = networks.variables_off_identity(made.initial_state())
        network = Network(made.model, variables, config)
        with tempfile.TemporaryDirectory() as folder:
            programs = _programs(network, Path(folder), compiled=not settings.short)
            for batch in BATCHES:
                records += _measure(settings, name, network, batch, programs)
    return records


def _programs(network: Network, folder: Path, *, compiled: bool) -> dict[str, dict[str, Program]]:
    """Returns the programs whose packages are installed, {format: {whose: program}}."""
    formats: dict[str, dict[str, Program]] = {}
    if have("flatbuffers"):
        formats["jax.export"] = {"ours": _in_jax(jax_program(network))}
    if have("onnx") and have("onnxruntime"):
        formats["ONNX"] = {"ours": _in_onnxruntime(onnx_model(network))}
    if have("torch"):
        from benchmarks import torch_exports

        if "jax.export" in formats:
            formats["jax.export"]["torch.export"] = torch_exports.exported(network)
            if compiled:
                formats["jax.export"]["AOTInductor"] = torch_exports.compiled(network, folder)
        if "ONNX" in formats and have("onnxscript"):
            theirs = _in_onnxruntime(torch_exports.onnx_model(network))
            formats["ONNX"]["torch"] = lambda pixels: theirs(torch_exports.channels_first(pixels))
    return formats


def _in_jax(program: bytes) -> Program:
    call = jax.jit(jax.export.deserialize(bytearray(program)).call)

    def prepare(pixels: np.ndarray) -> Run:
        given = jnp.asarray(pixels)
        return lambda: call(given)

    return prepare


def _in_onnxruntime(model: bytes) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    return lambda pixels: lambda: session.run(None, {INPUT: pixels})[0]


def _measure(
    settings: Settings,
    name: str,
    network: Network,
    batch: int,
    formats: dict[str, dict[str, Program]],
) -> Iterator[dict]:
    shape = (batch, *network.input_shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    runs = {
        (kind, who): prepare(pixels)
        for kind, programs in formats.items()
        for who, prepare in programs.items()
    }
    for (kind, who), run in runs.items():
        ours, theirs = ({"probabilities": np.asarray(each())} for each in (runs[kind, "ours"], run))
        check_agreement(f"{name}, {kind}, {who}", ours, theirs, {"probabilities": 1e-3})
    times = timing.alternating(
        {" ".join(key): run for key, run in runs.items()},
        repeats=settings.repeats,
        budget=2 * settings.budget,
    )
    for kind, programs in formats.items():
        each = {who: times[f"{kind} {who}"] for who in programs}
        for record in timing.compared(each, "ours"):
            settings.say(
                f"{name}, batch {batch}, {kind}, {record['who']}: "
                f"{report.milliseconds(record['seconds'])} ms"
            )
            yield {"network": name, "batch": batch, "format": kind} | record


def markdown(records: list[dict]) -> str:
    """Returns a table for each format, with times per image."""
    texts = []
    for kind in dict.fromkeys(record["format"] for record in records):
        mine = [record for record in records if record["format"] == kind]
        peers = [who for who in dict.fromkeys(r["who"] for r in mine) if who != "ours"]
        heads = [head for peer in peers for head in (f"{peer}, ms", f"{peer} / ours")]
        rows = []
        for (name, batch), by_who in report.by(mine, "network", "batch").items():
            cells = [report.milliseconds(np.divide(by_who["ours"]["seconds"], batch))]
            for peer in peers:
                cells.append(report.milliseconds(np.divide(by_who[peer]["seconds"], batch)))
                cells.append(report.times(by_who[peer]["ratio"]))
            rows.append([name, batch, *cells])
        texts += [f"### {kind}", "Milliseconds are per image."]
        texts.append(report.table(["network", "batch", "ours, ms", *heads], rows))
    return "\n\n".join(texts)
