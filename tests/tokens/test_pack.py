from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tilth.tokens.megatron import token_type, write_index
from tilth.tokens.pack import Pack, build_pack
from tilth.tokens.reader import SequenceReader
from tilth.tokens.store import TokenStore


def pairs_of(pack: Pack, group: str) -> list[tuple[int, int]]:
    """Every (document, position) that the segments of a group cover, written out one by one."""
    return [
        (document, position)
        for document, start, length in pack.segments[group].tolist()
        for position in range(start, start + length)
    ]


@given(
    st.lists(st.integers(0, 70), min_size=1, max_size=40),
    st.integers(1, 24),
    st.lists(st.integers(0, 3), min_size=40, max_size=40),
)
def test_every_pair_stands_exactly_as_often_as_asked(lengths, length, repeat):
    lengths, repeat = np.array(lengths), np.array(repeat[: len(lengths)])
    groups = {"even": np.arange(0, len(lengths), 2), "all": np.arange(len(lengths))}
    pack = build_pack(lengths, groups, length, repeat)
    for name, documents in groups.items():
        expected = [(d, p) for d in documents for _ in range(repeat[d]) for p in range(lengths[d] - 1)]
        assert sorted(pairs_of(pack, name)) == sorted(expected)
        sizes = np.add.reduceat(pack.segments[name]["length"], pack.first[name][:-1]) if pack.sequences(name) else []
        assert all(0 < size <= length for size in sizes)


@given(st.lists(st.integers(2, 33), min_size=1, max_size=200))
def test_best_fit_is_never_worse_than_first_fit(lengths):
    """First-fit decreasing, the textbook baseline, as the referee."""
    pack = build_pack(np.array(lengths), {"all": np.arange(len(lengths))}, 32)
    bins: list[int] = []
    for size in sorted((n - 1 for n in lengths), reverse=True):
        at = next((i for i, used in enumerate(bins) if used + size <= 32), None)
        if at is None:
            bins.append(size)
        else:
            bins[at] += size
    assert pack.sequences("all") <= len(bins) + 1


def test_reader_gives_the_documents_back(tmp_path):
    rng = np.random.default_rng(0)
    documents = [rng.integers(3, 300, size=n).astype(np.uint16) for n in (1, 2, 5, 40, 17, 16, 33)]
    lengths = np.array([len(d) for d in documents])
    np.concatenate(documents).tofile(tmp_path / "tokens.bin")
    write_index(tmp_path / "tokens.idx", lengths, token_type(300))
    store = TokenStore(tmp_path)
    pack = build_pack(lengths, {"all": np.arange(len(documents))}, 16)
    pack.save(tmp_path / "pack")
    reader = SequenceReader(store, Pack.load(tmp_path / "pack"))
    seen: dict[tuple[int, int], int] = {}
    for index in range(reader.sizes[0]):
        sequence = reader.read(0, index)
        assert sequence.lengths.sum() == 16
        starts = np.cumsum(sequence.lengths) - sequence.lengths
        segments = pack.segments["all"][pack.first["all"][index] : pack.first["all"][index + 1]]
        for at, (document, start, length) in zip(starts.tolist(), segments.tolist(), strict=False):
            for i in range(length):
                assert sequence.inputs[at + i] == documents[document][start + i]
                assert sequence.targets[at + i] == documents[document][start + i + 1]
                seen[document, start + i] = seen.get((document, start + i), 0) + 1
        padding = sequence.documents == -1
        assert (np.repeat(padding, sequence.lengths) == (sequence.targets == -1)).all()
    assert seen == {(d, p): 1 for d, ids in enumerate(documents) for p in range(len(ids) - 1)}


def test_best_fit_fills_real_lengths_well():
    lengths = np.random.default_rng(1).lognormal(5.5, 1.2, 20_000).astype(int) + 2
    assert build_pack(lengths, {"all": np.arange(len(lengths))}, 512).fill("all") > 0.999
