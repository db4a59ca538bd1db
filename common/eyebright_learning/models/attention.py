"""The last attention of a teacher, laid open: what its last transformer block asked, answered and put out.

* Read by forward hooks while the teacher answers as it always does; nothing of timm's forward code is repeated here, so
  fused and unfused attention give the same. What is read comes after the block's own query and key normalisation.
* Heads lie side by side in the width: ``query.unflatten(-1, (heads, -1))[:, :, i]`` is head ``i``, and a head's scores
  are scaled by its own ``1 / sqrt(D / heads)``. Value heads that timm concatenates before ``proj`` come in this order.
* Class and register tokens are dropped. A row of attention recomputed from the rest is therefore renormalised.
* A network lies open when it keeps ``blocks`` of timm's plain ``Attention`` and counts its ``num_prefix_tokens``: a
  vision transformer of timm, or a hybrid of ours. Of several in one teacher (an ensemble) the first is read. Rotary,
  windowed and relative attention stay closed, because their scores do not follow from query and key alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from timm.layers.attention import Attention
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.models.features import TeacherFeatures


class LastBlock(NamedTuple):
    """Where a network can be read.

    Attributes:
        block: The last transformer block; its output is the tokens.
        attention: The attention in it.
        prefix: Class and register tokens before the picture's own.
    """

    block: nn.Module
    attention: Attention
    prefix: int


def last_block(network: nn.Module) -> LastBlock | None:
    """Return the last block of the first transformer in ``network`` that lies open; None when there is none."""
    for module in network.modules():
        blocks, prefix = getattr(module, "blocks", None), getattr(module, "num_prefix_tokens", None)
        if isinstance(blocks, nn.Sequential) and len(blocks) and isinstance(prefix, int):
            attention = getattr(blocks[-1], "attn", None)
            if type(attention) is Attention:  # a subclass may do something else with query and key
                return LastBlock(blocks[-1], attention, prefix)
    return None


def teacher_features(teacher: nn.Module, x: Tensor) -> TeacherFeatures:
    """Return what a teacher says about a batch, with its last block laid open.

    Args:
        teacher: A teacher with ``has_features``; runs in the mode it is in, so that evaluation is the caller's choice.
        x: ``[B, 3, S, S]`` in 0-255.

    Returns:
        Raw logits ``[B, C]`` and tokens, query, key, value ``[B, N, D]``, all float32.

    Raises:
        InputError: the teacher has no transformer that lies open.
    """
    found = last_block(teacher)
    if found is None:
        raise InputError(
            "this teacher has no attention to look at",
            value=type(teacher).__name__,
            fix="Choose a vision transformer or a hybrid, or leave the feature losses out.",
        )
    seen: dict[str, Tensor] = {}
    attention = found.attention
    with ExitStack() as stack:
        for name, module in (
            ("tokens", found.block),
            ("query", attention.q_norm),
            ("key", attention.k_norm),
            ("projected", attention.qkv),
        ):
            stack.enter_context(module.register_forward_hook(_keep(seen, name)))
        logits: Tensor = teacher(x)
    value = seen["projected"].chunk(3, dim=-1)[2]
    return TeacherFeatures(
        logits.float(),
        seen["tokens"][:, found.prefix :].float(),
        _side_by_side(seen["query"])[:, found.prefix :].float(),
        _side_by_side(seen["key"])[:, found.prefix :].float(),
        value[:, found.prefix :].float(),
    )


def _keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = output

    return hook


def _side_by_side(heads: Tensor) -> Tensor:
    """``[B, heads, N, d]`` to ``[B, N, heads * d]``."""
    return heads.transpose(1, 2).flatten(2)
