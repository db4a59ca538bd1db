"""Network weights on disk: safetensors only, read as float32, checked against the architecture before use.

* A file may hold halves (``float16``); they are widened on reading.
* ``num_batches_tracked`` counters may be absent: they never travel and mean nothing to inference.
* The head may have another number of classes: then the caller keeps its own. Any other difference is an error that
  names the first key, because it means another architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError

COUNTER = "num_batches_tracked"


def count_parameters(model: nn.Module) -> int:
    """Return the number of learnable values of a network."""
    return sum(parameter.numel() for parameter in model.parameters())


def save_weights(model: nn.Module, path: Path, *, metadata: str = "") -> None:
    """Write a network's state to safetensors, durably.

    Args:
        model: The network.
        path: Where to.
        metadata: One JSON string kept under the key ``eyebright``; a single key, because the order of several is not
            stable and equal networks must give equal files.
    """
    write_bytes(path, weights_bytes(model, metadata=metadata))


def weights_bytes(model: nn.Module, *, metadata: str = "") -> bytes:
    """Return what ``save_weights`` writes; equal networks give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content: bytes = save(state, metadata={"eyebright": metadata} if metadata else None)
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, floating point ones as float32.

    Raises:
        InputError: the file is missing or is not safetensors.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            "weights cannot be read", value=path, fix="Give a .safetensors file; pickled checkpoints are not accepted."
        ) from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def load_matching(model: nn.Module, state: Mapping[str, Tensor], *, head: str, architecture: str) -> bool:
    """Load ``state`` into ``model``; a head of another shape is left as the model has it.

    Args:
        model: The network, already initialised.
        state: Tensors by name.
        head: Prefix of the head's keys, e.g. ``classifier.1.``.
        architecture: For the message.

    Returns:
        Whether the head was loaded too.

    Raises:
        InputError: the tensors belong to another architecture.
    """
    expected = model.state_dict()
    body = {name for name in expected if not name.startswith(head)}
    wrong = next((name for name in expected if name in body and not _fits(expected, state, name)), None)
    surplus = next((name for name in sorted(state) if name not in expected and not name.startswith(head)), None)
    if wrong is not None or surplus is not None:
        found = "is missing" if wrong and wrong not in state else "has another shape" if wrong else "is not known"
        raise InputError(
            f"the weights are not of {architecture}: a key {found}",
            value=wrong or surplus,
            fix=f"Give weights of {architecture}, or choose the architecture they were made for.",
        )
    head_fits = all(_fits(expected, state, name) for name in expected if name not in body)
    kept = {name: state[name] for name in expected if name in state and (head_fits or name in body)}
    model.load_state_dict({**expected, **kept})
    return head_fits


def _fits(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> bool:
    if name not in state:
        return name.endswith(COUNTER)
    return expected[name].shape == state[name].shape
