"""ONNX for every line: export, metadata inside the file, sessions, int8, parity, latency, memory.

Reading a model needs onnxruntime and numpy only; torch and onnx are imported inside the functions
that make or change files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightbook.runs.files import atomic_file, write_atomic

if TYPE_CHECKING:
    import onnxruntime
    import torch

Array = np.ndarray
PathLike = str | os.PathLike[str]

METADATA_KEY = "sightbook"

HALF_SUFFIX = ":fp16"
"""Behind the name of a weight that :func:`store_half` keeps in half the bytes."""

FEWEST = (1024, 4096, 16384, 65536)
"""Values from which on weights are stored as fp16, tried in turn: the small ones at a network's
ends move scores most and take least room."""

TOLERANCE = 1e-3
"""By how much a score may differ from PyTorch's when weights are stored as fp16."""


# --------------------------------------------------------------------------- reading


def session(path: PathLike, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open a model for inference, on CUDA where onnxruntime has it, else on the CPU.

    Args:
        path: of the ``.onnx`` file.
        threads: CPU threads within an operator; None leaves the choice to onnxruntime.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no ONNX model that this onnxruntime can read.
    """
    options = _options(path)
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return _open(path, options)


def read_metadata(path: PathLike) -> dict[str, Any]:
    """The JSON object that :func:`write_metadata` put into the file; empty where there is none.

    Raises:
        FileNotFoundError, ValueError: as :func:`session`.
    """
    import onnxruntime

    options = _options(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return metadata(_open(path, options))


def metadata(model: onnxruntime.InferenceSession) -> dict[str, Any]:
    """As :func:`read_metadata`, of a session that is open already."""
    text = model.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    return json.loads(text) if text else {}


def _options(path: PathLike) -> onnxruntime.SessionOptions:
    import onnxruntime

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such model file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options


def _open(path: PathLike, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    import onnxruntime

    usable = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in usable]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises a class of its own per kind of failure
        raise ValueError(f"{path}: not a readable ONNX model ({error})") from error


# --------------------------------------------------------------------------- writing


def export(
    module: torch.nn.Module,
    args: tuple[Any, ...],
    path: PathLike,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
    opset: int = 17,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a torch module as one self-contained, checked ONNX file (up to 2 GB).

    Tracing (TorchScript) is used, not the newer graph capture: its graphs decode a third faster
    in onnxruntime, and it writes one file without external data.

    Args:
        module: exported in evaluation mode; its own mode is restored.
        args: example inputs; their sizes become fixed unless named in ``dynamic_axes``.
        path: of the file, replaced atomically.
        input_names: one a tensor in ``args``.
        output_names: one an output.
        dynamic_axes: tensor name -> {axis: name of the size}.
        opset: ONNX operator set.
        metadata: JSON values to keep in the file, see :func:`write_metadata`.
    """
    import onnx
    import torch

    was_training = module.training
    module.eval()
    try:
        with atomic_file(path) as target, torch.no_grad(), warnings.catch_warnings():
            # tracer warnings speak of shapes that were meant to be fixed
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                args,
                str(target),
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_axes={name: dict(axes) for name, axes in (dynamic_axes or {}).items()},
                opset_version=opset,
                dynamo=False,
            )
            if metadata is not None:
                write_metadata(target, metadata)
            onnx.checker.check_model(str(target))
    finally:
        module.train(was_training)
    return Path(path)


def write_metadata(path: PathLike, values: Mapping[str, Any]) -> None:
    """Put a JSON object into the file, in place of the one that was there.

    Raises:
        TypeError: a value that JSON does not know.
    """
    import onnx

    text = json.dumps(dict(values), ensure_ascii=False, allow_nan=False)
    model = onnx.load(str(path))
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, METADATA_KEY: text})
    with atomic_file(path) as target:
        onnx.save(model, str(target))


def quantize_dynamic(source: PathLike, target: PathLike) -> Path:
    """Write an int8 variant: weights of MatMul, Gemm and LSTM; activations as they come.

    Convolutions stay as they are: in int8 they make a smaller file that runs three times slower.
    Weights have seven bits: processors without VNNI add pairs of products in sixteen bits, where
    those of eight bits saturate, so that a file would answer otherwise there. What it costs in
    accuracy must be measured by the line. The metadata is kept, plus ``"precision": "int8"``.
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    with atomic_file(target) as partial:
        quantize(
            _with_full_weights(onnx.load(str(source))),
            str(partial),
            op_types_to_quantize=["MatMul", "Gemm", "LSTM"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        write_metadata(partial, {**read_metadata(source), "precision": "int8"})
    return Path(target)


# --------------------------------------------------------------------------- fp16 weights


def store_half(source: PathLike, target: PathLike | None = None, fewest: int = FEWEST[0]) -> Path:
    """Write a model with its weights stored as fp16, each followed by a `Cast` to fp32.

    The file is half as large; the graph computes in fp32 as before, on weights rounded to eleven
    bits. onnxruntime folds the casts when it opens the file and RTen when it loads it, so neither
    is slower. Left as they are: small weights, integers, what a quantised operator reads, and
    weights that fp16 cannot hold (beyond 65504, or so small that more than the last bit would be
    lost). A file that is stored so already stays as it is.

    Args:
        source: of the model.
        target: of the new file; None replaces the old one, atomically.
        fewest: values from which on a weight is not small.
    """
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    # what the graph takes or gives under its own name cannot be renamed
    fixed = {item.name for item in (*graph.input, *graph.output)}
    fixed |= {name for node in graph.node if _is_quantised(node.op_type) for name in node.input}
    casts = []
    for tensor in graph.initializer:
        half = None if tensor.name in fixed else _as_half(tensor, fewest)
        if half is not None:
            name, stored = tensor.name, tensor.name + HALF_SUFFIX
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, stored))
            casts.append(
                onnx.helper.make_node(
                    "Cast", [stored], [name], f"{name}:cast", to=onnx.TensorProto.FLOAT
                )
            )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    with atomic_file(target or source) as partial:
        onnx.save(model, str(partial))
    return Path(target or source)


def with_half_weights(
    path: PathLike, compare: Callable[[Path], dict[str, Any]], half: bool = True
) -> dict[str, Any]:
    """Store a file's weights as fp16, as many of them as :data:`TOLERANCE` allows.

    Args:
        path: of the model; replaced atomically, or left as it is, which is printed.
        compare: holds a file against PyTorch; of what it finds, ``scores`` is the largest
            difference of a score.
        half: False leaves the file as it is.

    Returns:
        What `compare` says of the file as it is now, and as ``weights`` how they are stored:
        ``fp16`` or ``fp32``.
    """
    path = Path(path)
    gap = np.inf
    with tempfile.TemporaryDirectory() as folder:
        for fewest in FEWEST if half else ():
            candidate = store_half(path, Path(folder) / path.name, fewest)
            found = compare(candidate)
            gap = min(gap, found["scores"])
            if found["scores"] <= TOLERANCE:
                write_atomic(path, candidate.read_bytes())
                return {**found, "weights": "fp16"}
    if half:
        print(f"{path}: weights stay fp32: stored as fp16 they move a score by {gap:.1e}")
    return {**compare(path), "weights": "fp32"}


def _is_quantised(operator: str) -> bool:
    return "Quantize" in operator or operator.endswith("Integer") or operator.startswith("QLinear")


def _as_half(tensor: Any, fewest: int) -> Array | None:
    import onnx

    if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < fewest:
        return None
    return half_of(onnx.numpy_helper.to_array(tensor))


def half_of(values: Array) -> Array | None:
    """Values rounded to fp16; None where fp16 cannot hold them to eleven bits of the largest."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    error = np.abs(half.astype(np.float32) - values).max()
    # not "greater than": NaN and infinity are to fail, too
    return half if error <= np.abs(values).max() * 2.0**-11 else None


def _with_full_weights(model: Any) -> Any:
    """Undo :func:`store_half` in memory: tools that look for stored weights find them again."""
    import onnx

    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.name.endswith(HALF_SUFFIX)}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in halves:
            tensor = halves[node.input[0]]
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    return model


# --------------------------------------------------------------------------- measuring


def parity(session_outputs: Sequence[Array], torch_outputs: Sequence[Any]) -> dict[str, float]:
    """How far two runs of one model are apart, over all outputs.

    Args:
        session_outputs: from ``session.run``.
        torch_outputs: tensors or arrays in the same order.

    Returns:
        ``max_abs`` and ``mean_abs`` difference, and ``max_relative``: the largest difference
        over the largest magnitude of its output.

    Raises:
        ValueError: another number of outputs, another shape, or values that are not finite.
    """
    if len(session_outputs) != len(torch_outputs):
        raise ValueError(f"{len(session_outputs)} outputs against {len(torch_outputs)}")
    worst, relative, total, count = 0.0, 0.0, 0.0, 0
    for index, (ours, other) in enumerate(zip(session_outputs, torch_outputs, strict=True)):
        theirs = other.detach().cpu().float().numpy() if hasattr(other, "detach") else other
        left, right = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if left.shape != right.shape:
            raise ValueError(f"output {index}: shape {left.shape} against {right.shape}")
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            raise ValueError(f"output {index}: values that are not finite")
        if not left.size:
            continue
        gap = np.abs(left - right)
        worst = max(worst, float(gap.max()))
        relative = max(relative, float(gap.max() / max(np.abs(right).max(), 1e-12)))
        total, count = total + float(gap.sum()), count + gap.size
    return {"max_abs": worst, "mean_abs": total / max(count, 1), "max_relative": relative}


def latency(
    model: onnxruntime.InferenceSession, feeds: Mapping[str, Array], n: int = 20
) -> dict[str, float]:
    """Milliseconds of one ``run``, over ``n`` runs after two to warm up.

    Returns:
        ``median_ms``, ``p95_ms``, ``min_ms`` and ``runs``.
    """
    times = []
    for turn in range(n + 2):
        start = time.perf_counter()
        model.run(None, dict(feeds))
        if turn >= 2:
            times.append((time.perf_counter() - start) * 1e3)
    return {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "min_ms": float(np.min(times)),
        "runs": float(n),
    }


def torch_latency(call: Callable[[], object], n: int = 20) -> float:
    """Median milliseconds of something done in PyTorch on one thread, as `latency` measures.

    Args:
        call: does it once.
        n: times that count.
    """
    import torch

    threads, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(n + 2):
                start = time.perf_counter()
                call()
                times.append((time.perf_counter() - start) * 1e3)
    finally:
        torch.set_num_threads(threads)
    return float(np.median(times[2:]))


def peak_memory(path: PathLike, feeds: Mapping[str, Array]) -> float:
    """MiB that a fresh process needs at most to load the model and run it once.

    The interpreter, numpy and onnxruntime are in it: it is what a user sees. Where the system
    keeps no peak (macOS), it is what is held after the run.
    """
    # the system's own "peak so far" (ru_maxrss) survives exec and would report the parent's
    code = (
        "import sys, numpy, psutil; from sightbook.inference.onnx import session\n"
        "feeds = dict(numpy.load(sys.argv[2]))\n"
        "session(sys.argv[1], threads=1).run(None, feeds)\n"
        "info = psutil.Process().memory_info()\n"
        "peak = getattr(info, 'peak_wset', info.rss)\n"
        "if sys.platform == 'linux':\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    peak = next(int(l.split()[1]) for l in lines if l.startswith('VmHWM')) * 1024\n"
        "print(peak / 2**20)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "feeds.npz"
        arrays: dict[str, Any] = dict(feeds)
        np.savez(inputs, **arrays)
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(inputs)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{path}: could not be run in a process of its own:\n{done.stderr}")
    return float(done.stdout)


def file_size(path: PathLike) -> float:
    """Size of a file in MiB (external data beside it not counted; :func:`export` writes none)."""
    return Path(path).stat().st_size / 2**20
