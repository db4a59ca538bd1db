"""The predictor: a narrow transformer that says what the tokens of a target block are, given the context's.

Context tokens are narrowed and told their positions; one learned mask token per target patch is told its position and
nothing else. Both go through the blocks together, and the answers at the mask tokens are widened again:

    s_hat_i = g(f(x[context]), positions of B_i)        [|B_i|, D]

* Each target block is predicted alone: the answers for one block do not see another block's mask tokens.
* It is thrown away after pre-training. Its width is a bottleneck on purpose.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.pretraining.encoder import gather_tokens
from eyebright_learning.pretraining.positions import sine_cosine_positions

_INITIAL_DEVIATION = 0.02


class Predictor(nn.Module):
    """Context tokens and target positions to target tokens.

    Args:
        encoder_width: D of the encoder.
        grid: Patches per side.
        width: Of the predictor's own tokens.
        depth: Blocks.
        heads: Attention heads per block; must divide the width.

    Raises:
        InputError: the width is not a multiple of four and of the heads.
    """

    def __init__(self, *, encoder_width: int, grid: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if width % heads or width % 4:
            raise InputError(
                "pre-training: predictor_width must be a multiple of 4 and of the encoder's heads",
                value=f"{width}, {heads} heads",
            )
        self.grid, self.width = grid, width
        self.narrow = nn.Linear(encoder_width, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = nn.Sequential(*[Block(width, heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, encoder_width)
        self.apply(_initialise)
        nn.init.trunc_normal_(self.mask_token, std=_INITIAL_DEVIATION)

    def forward(self, context: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        """Return the predicted tokens ``[B, M, t, D]``.

        Args:
            context: Encoded context ``[B, n, D]``.
            seen: Its patches, int64 ``[B, n]``.
            targets: Patches to predict, int64 ``[B, M, t]``.
        """
        B, M, t = targets.shape
        places = sine_cosine_positions(self.grid, self.width).to(context.device)
        known = self.narrow(context) + places[seen]
        asked = self.mask_token + places[targets.flatten(0, 1)]
        # One sequence per target block: [B M, n + t, width].
        tokens = torch.cat([known.repeat_interleave(M, dim=0), asked], dim=1)
        answers: Tensor = self.widen(self.norm(self.blocks(tokens))[:, -t:])
        return answers.view(B, M, t, -1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_INITIAL_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def target_tokens(tokens: Tensor, targets: Tensor) -> Tensor:
    """Return the tokens of each target block, ``[B, M, t, D]``, of ``[B, N, D]`` at int64 ``[B, M, t]``."""
    B, M, t = targets.shape
    return gather_tokens(tokens, targets.view(B, M * t)).view(B, M, t, -1)
