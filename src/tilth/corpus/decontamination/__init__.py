"""Decontamination: what benchmarks ask is not in the corpus.

benchmarks  benchmark files as items, items as texts
step        documents that hold items are removed, or the items cut out
"""
