"""What Tilth's trainer holds at its peak: an own sum over what its code keeps for the backward pass and works in.

The sum is read off `model/decoder.py`, `model/attention.py`, `model/loss.py` and `training/`, one term for each tensor;
benchmarks/peak_memory.py sets it against traces of every allocation. Symbols as in laws/model_size.py, and N tokens of
a micro-batch, T tokens of a document, s bytes of a number in a product, C tokens of a chunk of the loss head.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tilth.laws.flops import Recompute
from tilth.laws.memory import Shard, ZeroStage, zero_stage
from tilth.laws.model_size import Shape, parameters
from tilth.planning.trainer_share import Piece, Share, largest_share

EXACT = 4
"""Bytes of a number in fp32: parameters, gradients, norms, the softmax of the loss."""
MASK = 1
"""Bytes of an element in a mask of dropout."""
CACHE_BYTES, FUSED_BYTES, DEVICE_BYTES = 2**22, 2**24, 2**28
"""Logits of a chunk, as in model/loss.py."""
WHOLE_UP_TO, QUERY_BLOCK = 256, 128
"""Documents up to the first are one block of queries in half precision, longer ones are cut: model/attention.py."""
SEGMENT_SLOTS, TILE = 16, 128
"""Places for segments of each row, as in training/batch.py; and by how many queries flash attention sums their
gradients in fp32 (FlashAttention-2's `dq_accum`)."""
STACK_ELEMENTS = 2**25
"""Elements that Muon orthogonalises at once, as in training/muon.py."""
PROCESS_BYTES = 450e6
"""Interpreter, torch and the compiler's libraries, before the first tensor (measured 2026-11: 380 to 520 MB)."""

TARGETS = ("query", "key", "value", "output", "gate", "up", "down")
SHARED_INPUTS = (("query", "key", "value"), ("gate", "up"), ("down",))
"""What reads one tensor that is kept for their weights' gradients alone; what `output` reads attention keeps."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What of a phase shapes its memory."""

    tokens: int
    """N: of a micro-batch."""
    length: int
    """T: of its documents; the sequence length if nothing more is known."""
    half: bool = True
    """bf16 products, else fp32."""
    float8: bool = False
    """8 bits in the layers' products: copies of the weights are made, and freed, in either pass (model/float8.py)."""
    optimizer: Literal["adamw", "muon"] = "muon"
    compiled: bool = False
    rank: int = 0
    """Of an adapter; 0: all weights are trained."""
    targets: tuple[str, ...] = TARGETS
    """Projections that the adapter stands beside."""
    embedding_dropout: bool = False
    """Whether embedded tokens are dropped: what is kept is a mask, whatever the share;"""
    residual_dropout: bool = False
    """what attention and feed-forward add;"""
    adapter_dropout: bool = False
    """what an adapter reads."""
    cuda: bool = False
    recompute: Recompute = "none"
    processes: int = 1
    shard: Shard = "none"
    """What is shared by the processes; all figures are of the one that has most."""

    @property
    def size(self) -> int:
        """s."""
        return 2 if self.half else EXACT

    @property
    def remakes(self) -> bool:
        """Whether a compiled layer makes again what its products read: it is rounded again in the backward pass."""
        return self.compiled and self.float8

    @property
    def stage(self) -> ZeroStage:
        """ZeRO's."""
        return zero_stage(self.shard, self.processes)

    def reading(self, *names: str) -> list[str]:
        """Which of these projections an adapter stands beside."""
        return [name for name in names if self.rank and name in self.targets]


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds at its peak, by what holds them."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    """Kept for the backward pass, the weights' copies in half precision among them."""
    working: float
    """What the moment of the peak needs beside that."""
    process: float
    moment: str = ""
    """When the peak is."""

    @property
    def tensors(self) -> float:
        """All but the process itself."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.working

    @property
    def total(self) -> float:
        """Bytes in all."""
        return self.tensors + self.process


@dataclass(frozen=True)
class Moment:
    """A place in a step where memory may peak: what is kept there, and what is worked in."""

    name: str
    kept: float
    working: float


def trainer_memory(shape: Shape, training: Training) -> Memory:
    """The largest of a step's moments, on top of what stands throughout."""
    share = share_of(shape, training)
    peak = max(moments(shape, training), key=lambda moment: moment.kept + moment.working)
    return Memory(
        parameters=EXACT * share.parameters,
        gradients=EXACT * share.gradients,
        optimizer=EXACT * share.moments,
        activations=peak.kept,
        working=peak.working,
        process=PROCESS_BYTES,
        moment=peak.name,
    )


def share_of(shape: Shape, training: Training) -> Share:
    """What the process that keeps most keeps; an adapter's parameters stand beside frozen ones."""
    each = 0 if training.rank else 2
    tables = [
        Piece((shape.vocabulary, shape.hidden), each, head=bool(at) or shape.tied) for at in range(2 - shape.tied)
    ]
    pieces = list(tables)
    for layer in range(shape.layers):
        for name, pair in _matrices(shape).items():
            pieces.append(Piece(pair, 1 if each and training.optimizer == "muon" else each, layer))
            if training.rank and name in training.targets:
                pieces += [Piece((training.rank, side), 2, layer) for side in pair]
    whole = sum(piece.numbers for piece in pieces) - (adapter_parameters(shape, training) if training.rank else 0)
    return largest_share(pieces, parameters(shape) - whole, training.processes, training.stage)


def adapter_parameters(shape: Shape, training: Training) -> int:
    """A and B of every adapted projection: r (rows + columns)."""
    matrices = _matrices(shape)
    return shape.layers * training.rank * sum(sum(matrices[name]) for name in training.targets)


def _matrices(shape: Shape) -> dict[str, tuple[int, int]]:
    """Rows (outputs) and columns (inputs) of a layer's projections."""
    hidden, queries, keys, wide = shape.hidden, shape.query_width, shape.kv_width, shape.intermediate
    return {
        "query": (queries, hidden),
        "key": (keys, hidden),
        "value": (keys, hidden),
        "output": (hidden, queries),
        "gate": (wide, hidden),
        "up": (wide, hidden),
        "down": (hidden, wide),
    }


def moments(shape: Shape, training: Training) -> Iterator[Moment]:
    """Where a step may peak: the loss head, the backward pass of the last layer, the embedding's, the optimizer."""
    kept, share = _Kept(shape, training), share_of(shape, training)
    tokens, hidden, size = training.tokens, shape.hidden, training.size
    trained_head = 0 if training.rank else EXACT * shape.vocabulary * hidden
    late = trained_head if shape.tied else 0  # a tied head's gradient waits for the embedding's
    gradient = size * tokens * hidden  # of the residual stream
    head, layer, sent = EXACT * share.head, EXACT * share.layer, EXACT * share.sent
    comes = layer if training.stage == 3 else 0
    goes = max(min(sent, head + done * layer) - (done - 1) * kept.stored for done in range(1, shape.layers + 1))
    there = head if training.stage == 3 else 0
    yield Moment("loss head", kept.everything, gradient + trained_head + there + _head_working(shape, training))
    if training.adapter_dropout and not training.compiled and "down" in training.targets:
        drawn = 2 * EXACT * tokens * shape.intermediate  # 32 bits an element and a shifted copy: model/draws.py
        below = kept.layers - tokens * (MASK * shape.intermediate + size * training.rank)  # the input, not yet dropped
        again = kept.again + gradient if kept.again else 0.0
        streams = 4 * size * tokens * hidden  # the layer's input, what attention adds, their sum, W x
        yield Moment("an adapter's dropout", below, drawn + again + streams)
    if not training.compiled:
        yield Moment("last norm, backward", kept.layers, late + there + comes + 24 * tokens * hidden)
    if training.residual_dropout and not training.compiled:
        mixed = (3 * EXACT + 2 * size) * tokens * hidden  # three steps of a mask's 32 bits, what is added, and scaled
        again = late + gradient + kept.again if kept.again else 0  # else it is the forward pass
        yield Moment("dropout of what is added", kept.layers, mixed + again)
    working = late + gradient + kept.again + 2 * comes + goes
    if training.stage == 3 and training.half and not training.compiled:  # cast again, and freed
        working += size * max(rows * columns for rows, columns in _matrices(shape).values())
    yield Moment("feed-forward, backward", kept.layers, working + _feed_forward_working(shape, training))
    yield Moment("attention, backward", kept.to_attention, working + attention_working(shape, training))
    if not training.rank:
        embedding = EXACT * (tokens * hidden + shape.vocabulary * hidden) + late
        yield Moment("embedding, backward", kept.throughout, gradient + embedding + comes + sent)
    if training.optimizer == "muon" and not training.rank:
        yield Moment("Muon's update", 0.0, _muon_working(share.matrices, training))


class _Kept:
    """Bytes kept for the backward pass at different moments."""

    def __init__(self, shape: Shape, training: Training) -> None:
        n, size, hidden = training.tokens, training.size, shape.hidden
        queries, keys, wide = shape.query_width, shape.kv_width, shape.intermediate
        norm = _norm_bytes(hidden, training) * n
        attention = size * n * (2 * queries + 2 * keys) + EXACT * n * shape.heads  # q, k, v, out, log-denominators
        if shape.qk_norm:
            attention += n * (queries + keys) * _head_norm_bytes(training) + EXACT * n * (shape.heads + shape.kv_heads)
        parts = 2 if training.remakes else 3 if training.compiled else 4  # gate, up, their product; eager: silu too
        feed_forward = size * n * wide * parts
        copies = _weight_copies(shape, training)
        if training.float8 or (training.stage == 3 and not training.compiled):  # cast again: model/decoder.py
            copies = dict.fromkeys(copies, 0)
        masks = MASK * n * hidden
        self.throughout = float(2 * size * n * shape.head_dim)  # cosine and sine
        self.throughout += masks if training.embedding_dropout and not training.rank else 0
        layer = 2 * norm + attention + feed_forward + sum(copies.values()) + n * _adapter_bytes(shape, training)
        layer += 2 * masks if training.residual_dropout else 0
        stored, shared = self._stored(shape, training, layer)
        self.stored = stored
        """Of a layer: freed behind its backward pass, while its gradients are on their way."""
        self.layers = self.throughout + shape.layers * stored
        self.again = float(layer - shared)
        """Of the one layer that is computed again: what was not stored of it."""
        if training.rank and stored == layer:  # nothing is differentiated before the first layer's adapters
            normalised = training.size if training.compiled else EXACT
            self.layers -= n * (normalised * hidden + _masked(shape, training, SHARED_INPUTS[0]))
        self.to_attention = self.layers - layer + norm + attention
        self.to_attention += sum(copies[name] for name in SHARED_INPUTS[0])
        self.to_attention += n * _adapter_bytes(shape, training, SHARED_INPUTS[0])
        if training.compiled:  # one graph a layer: what its backward pass made of the feed-forward waits for its end
            made = ("output", "gate", "up", "down")
            self.to_attention += norm + sum(EXACT * math.prod(_matrices(shape)[name]) for name in made)
        if training.remakes:  # gradients of gate and up too, and what they read
            self.to_attention += size * n * (2 * wide + hidden)
        last = _norm_bytes(hidden, training) * n
        if training.compiled:
            last = 2 * size * n * hidden  # the stream and what the norm makes of it
        self.everything = self.layers + last

    @staticmethod
    def _stored(shape: Shape, training: Training, layer: float) -> tuple[float, float]:
        """Bytes stored of a layer, and how many of them a layer that is computed again keeps as well."""
        n, size, hidden = training.tokens, training.size, shape.hidden
        if training.recompute == "none" or (training.recompute == "selective" and training.compiled):
            return layer, layer
        inputs = size * n * hidden
        if training.recompute == "full":
            return inputs, 0.0
        queries, keys = shape.query_width, shape.kv_width
        both = size * n * (queries + keys + 2 * shape.intermediate) + EXACT * n * shape.heads  # out, v, gate, up
        return inputs + both + size * n * (queries + keys + 2 * hidden), both  # and q, k, both sums' second halves


def _masked(shape: Shape, training: Training, names: tuple[str, ...]) -> float:
    """Bytes of a token's masks of what the adapters beside these projections read.

    A compiled layer draws two of them again in its backward pass: that of its first adapter, and of `down`'s.
    """
    if not training.adapter_dropout:
        return 0.0
    again = {*training.reading(*TARGETS)[:1], "down"} if training.compiled else set()
    matrices = _matrices(shape)
    return float(MASK * sum(matrices[name][1] for name in training.reading(*names) if name not in again))


def _adapter_bytes(shape: Shape, training: Training, names: tuple[str, ...] = TARGETS) -> float:
    """Of a token, kept by a layer's adapters: A's outputs, and with dropout each input as dropped, and its mask.

    What several projections read is counted with them all; none of it is kept where no adapter reads it, or each reads
    its own.
    """
    size, matrices = training.size, _matrices(shape)
    beside = training.reading(*names)
    kept = float(size * training.rank * len(beside))
    if training.adapter_dropout:
        kept += size * sum(matrices[name][1] for name in beside) + _masked(shape, training, names)
    for shared in SHARED_INPUTS if training.rank else ():
        if shared[0] in names and (training.adapter_dropout or not training.reading(*shared)):
            kept -= size * matrices[shared[0]][1]
    return kept


def _norm_bytes(width: int, training: Training) -> int:
    """Of a token: what RMSNorm reads in fp32, that normalised, its output; compiled: its input and output alone."""
    if training.compiled:
        return (1 if training.remakes else 2) * training.size * width + EXACT
    normalised = 0 if training.rank else EXACT  # kept for the gradient of the norm's weight
    return (EXACT + normalised + training.size) * width + 2 * EXACT


def _head_norm_bytes(training: Training) -> int:
    """The same of a query or key, whose output the rotation does not keep."""
    if training.compiled:
        return training.size
    return EXACT if training.rank else 2 * EXACT


def _weight_copies(shape: Shape, training: Training) -> dict[str, int]:
    """A layer's weights in half precision, kept by the products."""
    size = training.size if training.half else 0
    copies = {name: size * rows * columns for name, (rows, columns) in _matrices(shape).items()}
    for name in training.targets if training.rank else ():
        copies[name] += size * training.rank * sum(_matrices(shape)[name])
    return copies


def _head_working(shape: Shape, training: Training) -> float:
    """The head's copy and one chunk: its logits, its gradient and that of the chunk before (eager: fp32 twice),
    or its logits, its gradient and the weight's gradient from it."""
    room = DEVICE_BYTES if training.cuda else FUSED_BYTES if training.compiled else CACHE_BYTES
    chunk = max(256, room // (EXACT * shape.vocabulary) // 64 * 64)
    before = 1 if training.tokens > chunk else 0
    logits = min(chunk, training.tokens) * shape.vocabulary
    weights = shape.vocabulary * shape.hidden
    softmax = (2 + before) * training.size * logits
    if not training.compiled:
        softmax += 2 * EXACT * logits if training.half else 0
    product = 0 if training.rank else 2 * training.size * logits + EXACT * weights
    if training.half:  # the product of a chunk in bf16, then in fp32
        product += 0 if training.rank else training.size * weights
    return max(softmax, product) + (training.size * weights if training.half else 0)


def _feed_forward_working(shape: Shape, training: Training) -> float:
    """Gradients of gate's and up's product and of its two factors, less the product, which is no longer kept."""
    return (1 if training.compiled else 2) * training.size * training.tokens * shape.intermediate


def attention_working(shape: Shape, training: Training) -> float:
    """Backward of the attention kernel: gathered inputs, their gradients, and three score matrices if dense."""
    n, size, queries, keys = training.tokens, training.size, shape.query_width, shape.kv_width
    if training.cuda:
        tiles = TILE * SEGMENT_SLOTS * n / training.length  # one more for each place of a segment
        return float(size * n * (2 * queries + 2 * keys) + EXACT * queries * (n + tiles))
    if training.half:
        if training.length <= WHOLE_UP_TO:
            return float(3 * size * n * shape.heads * training.length + size * n * (9 * queries + 7 * keys))
        scores = size * n * shape.heads * QUERY_BLOCK
        sums = (2 * EXACT + size + EXACT) * n * keys  # of the keys' gradients in fp32, and what a block adds
        return float(max(3 * scores + 2 * EXACT * n * keys, 2 * scores + sums) + size * n * (7.5 * queries + 6 * keys))
    return float(size * n * (10 * queries + 2 * keys))


def _muon_working(matrices: tuple[tuple[int, int], ...], training: Training) -> float:
    """The largest stack of equal matrices: momentum, stack, two iterates and two Gram matrices."""
    return max(
        min(number, max(1, STACK_ELEMENTS // (rows * columns)))
        * (rows * columns * (2.0 * EXACT + 2 * training.size) + 2 * training.size * min(rows, columns) ** 2)
        for (rows, columns), number in Counter(matrices).items()
    )
