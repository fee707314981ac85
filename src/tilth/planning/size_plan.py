"""A model's size as a report: parameters in three countings, operations a token in three conventions."""

from __future__ import annotations

from tilth.laws.counting import Counting
from tilth.laws.flops import Convention, training_flops_per_token
from tilth.laws.model_size import Shape, active_parameters, matmul_parameters, parameter_parts, parameters
from tilth.planning.figures import Figure, Report


def size_report(name: str, shape: Shape, length: int) -> Report:
    """Parameters in three countings, and operations a token in three conventions."""
    return Report(f"{name} at T = {length:,}", (*_countings(shape), *_operations(shape, length)))


def _countings(shape: Shape) -> list[Figure]:
    parts = " + ".join(f"{v:,} {k}" for k, v in vars(parameter_parts(shape)).items())
    whole, inner, head = parameters(shape), Counting.WITHOUT_EMBEDDINGS, Counting.WITH_HEAD
    split = parameter_parts(shape)
    inside = f"{split.attention:,} attention + {split.feed_forward:,} feed_forward + {split.norms:,} norms"
    adds = f"{parameters(shape, inner):,} + {shape.vocabulary:,} x {shape.hidden:,}"
    if shape.embedding_width:
        width = shape.embedding_width
        adds = f"{parameters(shape, inner):,} + {shape.vocabulary:,} x {width:,} + 2 x {width:,} x {shape.hidden:,}"
    every = "every trained number, a tied matrix once (Chinchilla's N)"
    figures = [
        Figure("parameters", whole, "parameters", parts, every),
        Figure("without embeddings", parameters(shape, inner), "parameters", inside, "Kaplan et al. 2020"),
        Figure("with head", parameters(shape, head), "parameters", adds, "with V H of the head: Porian et al. 2024"),
    ]  # fmt: skip
    if shape.experts:
        said = f"{shape.active_experts} of {shape.experts} experts"
        router = "what multiplies a token: a mixture's chosen experts and all that is shared"
        figures.append(Figure("active", active_parameters(shape), "parameters", said, router))
    return figures


def _operations(shape: Shape, length: int) -> list[Figure]:
    matrices, count = matmul_parameters(shape), active_parameters(shape)
    conventions: tuple[tuple[str, Convention, int, str], ...] = (
        ("FLOP a token, causal", "causal", 6, "6 x matmul parameters with head + 6 L d T"),
        ("FLOP a token, full attention", "full", 12, "Chowdhery et al. 2022 (PaLM), appendix B"),
    )
    figures = []
    for title, convention, times, source in conventions:
        formula = f"6 x {matrices:,} + {times} x {shape.layers} x {shape.query_width} x {length:,}"
        flops = training_flops_per_token(shape, length, convention)
        figures.append(Figure(title, flops, "FLOP a token", formula, source))
    law = "Kaplan et al. 2020" + ("; N: the active ones" if shape.experts else "")
    return [*figures, Figure("FLOP a token, 6 N", 6.0 * count, "FLOP a token", f"6 x {count:,}", law)]
