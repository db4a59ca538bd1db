"""The teacher's last attention: what the hooks hand out is what timm itself computed."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.models import Teacher, build_teacher
from eyebright_learning.models.attention import LastBlock, last_block, teacher_features

# Plain, one register token and no class token, and a transformer on a convolutional stem.
OPEN = ("test_vit", "test_vit2", "vit_tiny_r_s16_p8_224")
GRID = {"test_vit": 4, "test_vit2": 4, "vit_tiny_r_s16_p8_224": 4}


@pytest.fixture(params=OPEN)
def teacher(request: pytest.FixtureRequest) -> Teacher:
    return build_teacher(request.param, classes=4, image_size=64, seed=0).eval()


def pictures() -> Tensor:
    return 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def opened(teacher: Teacher) -> LastBlock:
    found = last_block(teacher)
    assert found is not None
    return found


def whole_attention(teacher: Teacher, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return query, key and value of all tokens, per head, and what timm's attention put out."""
    attention, prefix = opened(teacher).attention, opened(teacher).prefix
    seen: list[Tensor] = []
    handle = attention.register_forward_hook(lambda module, inputs, output: seen.append(output))
    said = teacher_features(teacher, x)
    handle.remove()
    assert said.query.shape[1] == seen[0].shape[1] - prefix
    return {"query": said.query, "key": said.key, "value": said.value}, seen[0]


def heads_of(features: Tensor, heads: int) -> Tensor:
    """``[B, N, heads * d]`` to ``[B, heads, N, d]``."""
    return features.unflatten(-1, (heads, -1)).transpose(1, 2)


def naive_attention(attention: nn.Module, parts: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return softmax(Q K^T / sqrt(d)) per head, and that times V, projected."""
    query, key, value = (heads_of(parts[name], attention.num_heads) for name in ("query", "key", "value"))
    weights = (query @ key.mT / attention.head_dim**0.5).softmax(-1)
    return weights, attention.proj((weights @ value).transpose(1, 2).flatten(2))


def without_prefix(teacher: Teacher) -> Teacher:
    """Take class and register tokens out, so that the picture's tokens are all there is to attend to."""
    vit = teacher.network
    vit.cls_token, vit.reg_token, vit.num_prefix_tokens = None, None, 0
    vit.pos_embed = nn.Parameter(vit.pos_embed[:, -vit.patch_embed.num_patches :].detach())
    vit.no_embed_class, vit.global_pool = True, "avg"
    return teacher


@pytest.mark.parametrize("fused", [True, False])
def test_query_key_and_value_give_timms_own_attention_output(teacher: Teacher, fused: bool) -> None:
    attention = opened(without_prefix(teacher)).attention
    attention.fused_attn = fused
    with torch.inference_mode():
        parts, output = whole_attention(teacher, pictures())
        _, projected = naive_attention(attention, parts)
    torch.testing.assert_close(projected, output, rtol=0, atol=1e-5)


def test_the_recomputed_weights_are_those_timm_forms_when_it_forms_them(teacher: Teacher) -> None:
    attention = opened(without_prefix(teacher)).attention
    attention.fused_attn = False
    formed: list[Tensor] = []
    attention.attn_drop.register_forward_hook(lambda module, inputs, output: formed.append(output))
    with torch.inference_mode():
        parts, _ = whole_attention(teacher, pictures())
        weights, _ = naive_attention(attention, parts)
    torch.testing.assert_close(weights, formed[0], rtol=0, atol=1e-6)


def test_weights_without_the_class_token_are_timms_renormalised() -> None:
    teacher = build_teacher("test_vit", classes=4, image_size=64, seed=0).eval()
    attention = opened(teacher).attention
    attention.fused_attn = False
    formed: list[Tensor] = []
    attention.attn_drop.register_forward_hook(lambda module, inputs, output: formed.append(output))
    with torch.inference_mode():
        parts, _ = whole_attention(teacher, pictures())
        weights, _ = naive_attention(attention, parts)
    among_pictures = formed[0][:, :, 1:, 1:]
    torch.testing.assert_close(weights, among_pictures / among_pictures.sum(-1, keepdim=True), rtol=0, atol=1e-6)


def test_query_and_key_are_taken_after_their_own_normalisation() -> None:
    network = timm.create_model("test_vit", num_classes=4, img_size=64, qk_norm=True)
    identity = build_teacher("test_vit", classes=4, image_size=64, seed=0).identity
    teacher = without_prefix(Teacher(network, identity).eval())
    with torch.inference_mode():
        parts, output = whole_attention(teacher, pictures())
        _, projected = naive_attention(opened(teacher).attention, parts)
    query = heads_of(parts["query"], opened(teacher).attention.num_heads)
    torch.testing.assert_close(query.mean(-1), torch.zeros_like(query.mean(-1)), rtol=0, atol=1e-5)
    torch.testing.assert_close(projected, output, rtol=0, atol=1e-5)


def test_logits_are_the_teachers_own_and_tokens_those_before_the_last_normalisation(teacher: Teacher) -> None:
    x = pictures()
    with torch.inference_mode():
        said, logits = teacher_features(teacher, x), teacher(x)
        [tokens] = teacher.network.get_intermediate_layers(teacher.normalise(x), n=1)
    assert torch.equal(said.logits, logits)
    torch.testing.assert_close(said.tokens, tokens)


def test_tokens_cover_the_picture_and_nothing_else(teacher: Teacher) -> None:
    said = teacher_features(teacher, pictures())
    side = GRID[teacher.architecture]
    width = teacher.network.embed_dim
    assert [tuple(part.shape) for part in said[1:]] == [(2, side * side, width)] * 4


def test_looking_leaves_no_hook_behind(teacher: Teacher) -> None:
    teacher_features(teacher, pictures())
    assert not any(module._forward_hooks for module in teacher.modules())


def test_a_look_that_fails_leaves_no_hook_behind(teacher: Teacher) -> None:
    with pytest.raises(RuntimeError):
        teacher_features(teacher, torch.zeros(1, 5, 64, 64))
    assert not any(module._forward_hooks for module in teacher.modules())


def test_features_are_float32_under_autocast(teacher: Teacher) -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        said = teacher_features(teacher, pictures())
    assert {part.dtype for part in said} == {torch.float32}


def test_a_convolutional_teacher_has_no_attention_to_look_at() -> None:
    teacher = build_teacher("convnextv2_atto", classes=4, image_size=64, seed=0)
    assert last_block(teacher) is None
    with pytest.raises(InputError, match="no attention"):
        teacher_features(teacher, pictures())


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "vit_relpos_small_patch16_224", "eva02_tiny_patch14_224"]
)
def test_attention_that_needs_more_than_query_and_key_stays_closed(name: str) -> None:
    with torch.device("meta"):
        assert last_block(timm.create_model(name)) is None
