"""Weights of a network in one file: how they are saved, where they lie, how they are loaded.

The file is a safetensors file, which holds numbers and nothing that could be executed. Under the
key :data:`KEY` its metadata has a JSON object with ``config`` (what the network is built from:
alphabet, labels, size ...) and, where two names of a network mean one tensor, ``shared`` (name to
the name that is stored), so that the file alone is enough to build the network again.

Runs from before 2026-12 hold a pickled ``.pt`` file instead. It is still read, but only what
torch's ``weights_only`` lets through: tensors and plain values.

Finding a file needs no torch; it is imported by the functions that save and load.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sightbook.inference.onnx import half_of
from sightbook.runs.files import atomic_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    Network = TypeVar("Network", bound=nn.Module)

KEY = "sightbook"
SUFFIX = ".safetensors"
OLD_SUFFIX = ".pt"

FEWEST_HALF = 256
"""Values from which on a tensor is stored as fp16: smaller ones hardly take room."""

_TOLD = 5
"""Tensors, at most, that an error names."""


class WeightsError(ValueError):
    """A file of weights that cannot be used; says which, what is wrong with it and what to do."""


@dataclass(frozen=True)
class Weights:
    """What a file holds.

    Attributes:
        config: what the network was built from; lists of it are tuples.
        tensors: by their names in the network's ``state_dict``; floating point ones are float32.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]


# --------------------------------------------------------------------------- where they lie


def weights_file(folder: Path, name: str) -> Path:
    """Where a run has its weights: ``NAME.safetensors``, or the ``NAME.pt`` of an older run.

    Args:
        folder: of the run.
        name: such as ``recognition.safetensors``.

    Returns:
        The first of the two where neither exists.
    """
    file = folder / name
    old = file.with_suffix(OLD_SUFFIX)
    return old if old.is_file() and not file.is_file() else file


# --------------------------------------------------------------------------- saving


def save_weights(network: nn.Module, path: Path, half: bool = False) -> Path:
    """Write a network's weights and what it is built from, atomically.

    Args:
        network: on any device. What it is built from is its ``config``, a dataclass of JSON
            values; of a network without one the file holds the weights alone.
        path: of the file.
        half: store weights as fp16, in half the bytes; they are loaded as float32, rounded to
            eleven bits. Vectors and other small tensors, and what fp16 cannot hold, stay as
            they are.

    Raises:
        OSError: it cannot be written; a file that was there stays.
    """
    config: Any = getattr(network, "config", None)
    values = asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}
    return _write(path, Weights(values, dict(network.state_dict())), half)


def convert(old: Path, half: bool = False) -> Path:
    """Write a ``.pt`` file's weights as ``.safetensors`` beside it.

    Args:
        old: the file; it stays.
        half: as in :func:`save_weights`.

    Raises:
        WeightsError: as :func:`read_weights`.
    """
    return _write(old.with_suffix(SUFFIX), read_weights(old), half)


def _write(path: Path, weights: Weights, half: bool) -> Path:
    from safetensors.torch import save_file

    kept: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    known: dict[tuple[Any, ...], str] = {}
    for name, value in weights.tensors.items():
        tensor = value.detach()
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in known:
            shared[name] = known[place]
            continue
        known[place] = name
        kept[name] = _stored(tensor, half)
    # One key: the library writes several in an order that changes from run to run.
    about = {"config": weights.config, "shared": shared}
    with atomic_file(path) as beside:
        save_file(kept, beside, metadata={KEY: json.dumps(about, ensure_ascii=False)})
    return path


def _stored(tensor: Tensor, half: bool) -> Tensor:
    import torch

    # A copy: views of one storage, and channels that lie innermost, are refused by the format.
    plain = tensor.cpu().clone(memory_format=torch.contiguous_format)
    if half and plain.dtype == torch.float32 and plain.numel() >= FEWEST_HALF:
        values = half_of(plain.numpy())
        if values is not None:
            return torch.from_numpy(values)
    return plain


# --------------------------------------------------------------------------- loading


def load_network(path: Path, build: Callable[[dict[str, Any]], Network]) -> Network:
    """Build a network from its file; in evaluation mode, on the CPU.

    Args:
        path: of the file.
        build: makes the network, with any weights, from the file's configuration.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: it cannot be read, is not of such a network, or its tensors do not fit.
    """
    weights = read_weights(path)
    try:
        network = build(weights.config)
    except (TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: holds another kind of network: none is built from "
            f"{', '.join(weights.config) or 'no configuration'} ({error})"
        ) from error
    fill_strictly(network, weights.tensors, path)
    return network.eval()


def read_weights(path: Path) -> Weights:
    """Read a file of weights; a pickled one of an older run with a DeprecationWarning.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: it cannot be read, or is a pickle that holds more than tensors and plain
            values: that is not opened, since opening it could run any code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    return _read_pickled(path) if path.suffix == OLD_SUFFIX else _read(path)


def fill_strictly(network: nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Load all of a network's tensors.

    Args:
        network: changed in place.
        tensors: by name.
        source: where they are from, for the error.

    Raises:
        WeightsError: one is missing, too many, or of another shape; names them with their shapes.
    """
    own = network.state_dict()
    wrong = [
        f"{name} is {_shape(tensors[name])} in the file and {_shape(value)} in the network"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    wrong += [f"{n} {_shape(v)} is not in the file" for n, v in own.items() if n not in tensors]
    wrong += [f"{n} {_shape(v)} is not in the network" for n, v in tensors.items() if n not in own]
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise WeightsError(
            f"{source}: does not fit a {type(network).__name__} as it is built now: "
            f"{'; '.join(wrong[:_TOLD])}{more}"
        )
    network.load_state_dict(dict(tensors))


def _read(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = (file.metadata() or {}).get(KEY)
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(
            f"{path}: no readable safetensors file ({error}); was it cut off on its way here?"
        ) from error
    if about is None:
        raise WeightsError(
            f"{path}: its metadata has no {KEY!r}, which says how the network is built: weights "
            "of other programs cannot be read as a whole network"
        )
    facts = json.loads(about)
    tensors = {**stored, **{name: stored[kept] for name, kept in facts["shared"].items()}}
    return Weights(_tuples(facts["config"]), _full(tensors.items()))


def _read_pickled(path: Path) -> Weights:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        tensors = content.pop("weights")
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors and plain values, and is not opened: a pickled file "
            "can run any code. Ask for it as .safetensors, or train again"
        ) from error
    except (RuntimeError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path}: no readable file of weights ({error})") from error
    warnings.warn(
        f"{path}: pickled weights are read for one more release; to keep them: "
        f'python -c "from pathlib import Path; from sightbook.training.weights import convert; '
        f"convert(Path('{path.name}'))\" in its folder writes them as {SUFFIX}",
        DeprecationWarning,
        stacklevel=4,
    )
    # The oldest had their settings side by side, not under `config`.
    return Weights(_tuples(content.pop("config", content)), _full(tensors.items()))


def _full(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Floating point tensors as float32."""
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors}


def _tuples(value: Any) -> Any:
    """Lists as tuples, which is what a frozen configuration compares."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"
