"""What became of the pairs, by a plain loop."""

import numpy as np

from tilth.posttrain.outcome import preference_table


def test_table_equals_a_plain_loop():
    rng = np.random.default_rng(4)
    before, after = rng.normal(size=(2, 20))
    after[0] = before[0]  # a chosen answer that did not move is not lower
    domains = [name for name in ("一", "b", "一", "c", "b") * 2 for _ in range(2)]
    rows = {row["domain"]: row for row in preference_table(before, after, domains)}
    assert list(rows) == ["all", "b", "c", "一"]
    for name, row in rows.items():
        pairs = [i for i in range(10) if name == "all" or domains[2 * i] == name]
        chosen = [after[2 * i] - before[2 * i] for i in pairs]
        rejected = [after[2 * i + 1] - before[2 * i + 1] for i in pairs]
        assert row["pairs"] == len(pairs)
        assert row["chosen_fell"] == sum(c < 0 for c in chosen) / len(pairs)
        assert row["accuracy"] == sum(c > r for c, r in zip(chosen, rejected, strict=True)) / len(pairs)
        np.testing.assert_allclose(row["chosen_change"], sum(chosen) / len(pairs))
        np.testing.assert_allclose(row["rejected_change"], sum(rejected) / len(pairs))
