"""Output head and cross-entropy together, in chunks: the logits of all tokens never exist at once.

Shapes: N tokens, H hidden, V vocabulary, C tokens of a chunk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_BYTES, FUSED_BYTES, DEVICE_BYTES = 2**22, 2**24, 2**28
"""Logits of one chunk in fp32, measured: on a CPU few enough for its cache, more where passes over them are fused
(then sums of the weight's gradient count); on a GPU enough to fill it."""


def linear_cross_entropy(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    targets_N: Tensor,
    scale: float = 1.0,
    z_loss: float = 0.0,
    *,
    compiled: bool = False,
    chunk: int | None = None,
    foreseen: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """The total `scale · Σ (loss + z_loss · lse²)` over targets ≥ 0, and each token's loss (fp32[N], detached).

    loss = lse − logit of the target, lse = log Σ exp logits (nats); z-loss as in PaLM (Chowdhery et al. 2022).
    Products run in the dtype of `hidden_NH`, softmax and sums in fp32 (fp64 for fp64). Gradients are made in the
    forward pass, so `scale` — coefficient over the global count — must be known beforehand. Tokens with a negative
    target have loss 0, and no logits are made for them: of a conversation, the answers alone cost anything here.
    `foreseen` is the factor by which the total will be multiplied before its backward pass (fp16's loss scale).
    """
    chunk = chunk or _chunk(hidden_NH, weight_VH, compiled)
    needs = torch.is_grad_enabled() and (hidden_NH.requires_grad or weight_VH.requires_grad)
    total, loss_N = _LinearCrossEntropy.apply(
        hidden_NH, weight_VH, targets_N, scale, z_loss, compiled, chunk, needs, foreseen
    )
    return total, loss_N


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        scale: float,
        z_loss: float,
        compiled: bool,
        chunk: int,
        needs: bool,
        foreseen: float,
    ) -> tuple[Tensor, Tensor]:
        exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        loss = torch.zeros(hidden.shape[0], dtype=exact, device=hidden.device)
        square = torch.zeros((), dtype=exact, device=hidden.device)
        cast = weight.to(hidden.dtype)
        grad_hidden = torch.zeros_like(hidden) if needs else None
        grad_weight = torch.zeros_like(weight) if needs and weight.requires_grad else None
        kernel = _kernel(compiled)
        # a tensor: a number would be compiled in
        factor = torch.tensor(scale * foreseen, dtype=exact, device=hidden.device)
        for places in _with_target(targets, chunk):
            part = hidden[places]
            found, lse, grad = kernel(part @ cast.T, targets[places], factor, z_loss, needs)
            loss[places] = found
            square += (lse * lse * (targets[places] >= 0)).sum()
            if grad_hidden is not None:
                grad_hidden[places] = grad @ cast
            if grad_weight is not None:
                grad_weight += grad.T @ part
        ctx.grads, ctx.foreseen = (grad_hidden, grad_weight), foreseen
        ctx.mark_non_differentiable(loss)
        return (loss.sum() + z_loss * square) * scale, loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grads, ctx.grads = ctx.grads, None  # scaled in place: used once
        rest = grad_total / ctx.foreseen
        scaled = (None if grad is None else grad.mul_(rest.to(grad.dtype)) for grad in grads)
        return (*scaled, None, None, None, None, None, None, None)


def token_log_probabilities(
    hidden_NH: Tensor, weight_VH: Tensor, targets_N: Tensor, *, chunk: int | None = None
) -> Tensor:
    """log p(target) of each token in nats, fp32[N] (fp64 for fp64), 0 where the target is negative; differentiable.

    For objectives whose gradient differs from token to token: the logits of the tokens that have a target, and of no
    other, are made chunk by chunk, and again in the backward pass. Where the gradient is one factor for all,
    `linear_cross_entropy` saves the second time.
    """
    chunk = chunk or _chunk(hidden_NH, weight_VH, compiled=False)
    log_p: Tensor = _TokenLogProbabilities.apply(hidden_NH, weight_VH, targets_N, chunk)
    return log_p


class _TokenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
        exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        loss = torch.zeros(hidden.shape[0], dtype=exact, device=hidden.device)
        cast, unused = weight.to(hidden.dtype), loss.new_zeros(())
        for places in _with_target(targets, chunk):
            logits = hidden[places] @ cast.T
            loss[places], _, _ = _softmax_and_gradient_eager(logits, targets[places], unused, 0.0, False)
        ctx.save_for_backward(hidden, weight, targets)
        ctx.chunk = chunk
        return loss.neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets = ctx.saved_tensors
        grad_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        cast = weight.to(hidden.dtype)
        for places in _with_target(targets, ctx.chunk):
            part = hidden[places]
            _, _, grad = _softmax_and_gradient_eager(part @ cast.T, targets[places], -grad_N[places], 0.0, True)
            if grad_hidden is not None:
                grad_hidden[places] = grad @ cast
            if grad_weight is not None:
                grad_weight += grad.T @ part
        return grad_hidden, grad_weight, None, None


def _with_target(targets_N: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """The places of the tokens that have a target, in chunks, the last filled up by places that have none.

    So that all chunks but that at the end of N have one shape: compiled code is made once for each.
    """
    absent_N = targets_N < 0
    chunks = -(-int((~absent_N).sum()) // chunk)
    return torch.argsort(absent_N, stable=True)[: chunks * chunk].split(chunk) if chunks else ()


def _chunk(hidden_NH: Tensor, weight_VH: Tensor, compiled: bool) -> int:
    """Tokens of a chunk."""
    room = DEVICE_BYTES if hidden_NH.device.type != "cpu" else FUSED_BYTES if compiled else CACHE_BYTES
    return max(256, room // (4 * weight_VH.shape[0]) // 64 * 64)


def _losses(logits_CV: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits in fp32 (fp64), each target's column, lse and loss of each token."""
    exact_CV = logits_CV if logits_CV.dtype == torch.float64 else logits_CV.float()
    lse_C = torch.logsumexp(exact_CV, -1)
    index_C1 = targets_C.clamp_min(0)[:, None]
    loss_C = torch.where(targets_C >= 0, lse_C - exact_CV.gather(1, index_C1)[:, 0], 0.0)
    return exact_CV, index_C1, lse_C, loss_C


def _softmax_and_gradient(
    logits_CV: Tensor, targets_C: Tensor, scale: Tensor, z_loss: float, needs: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and lse of each token, and the gradient of the scaled total by the logits (the logits again if not needed).

    `scale` is one for all tokens or one for each. By a logit: scale · (softmax · (1 + 2 z_loss · lse) − one-hot).
    """
    exact_CV, index_C1, lse_C, loss_C = _losses(logits_CV, targets_C)
    if not needs:
        return loss_C, lse_C, logits_CV
    factor_C1 = ((targets_C >= 0).to(lse_C.dtype) * scale)[:, None]
    softmax_CV = torch.exp(exact_CV - lse_C[:, None]) * (factor_C1 * (1 + 2 * z_loss * lse_C[:, None]))
    column_V = torch.arange(logits_CV.shape[1], device=logits_CV.device)
    gradient_CV = softmax_CV - torch.where(column_V == index_C1, factor_C1, 0.0)
    return loss_C, lse_C, gradient_CV.to(logits_CV.dtype)


def _softmax_and_gradient_eager(
    logits_CV: Tensor, targets_C: Tensor, scale: Tensor, z_loss: float, needs: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same with fewer passes over the logits where nothing fuses them."""
    exact_CV, index_C1, lse_C, loss_C = _losses(logits_CV, targets_C)
    if not needs:
        return loss_C, lse_C, logits_CV
    factor_C1 = ((targets_C >= 0).to(lse_C.dtype) * scale)[:, None]
    gradient_CV = (exact_CV - lse_C[:, None]).exp_()
    gradient_CV.mul_(factor_C1 * (1 + 2 * z_loss * lse_C[:, None]))
    gradient_CV.scatter_add_(1, index_C1, -factor_C1)
    return loss_C, lse_C, gradient_CV.to(logits_CV.dtype)


Kernel = Callable[[Tensor, Tensor, Tensor, float, bool], tuple[Tensor, Tensor, Tensor]]


@functools.cache
def _kernel(compiled: bool) -> Kernel:
    return torch.compile(_softmax_and_gradient, dynamic=False) if compiled else _softmax_and_gradient_eager
