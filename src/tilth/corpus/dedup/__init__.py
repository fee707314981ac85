"""Duplicates: `exact` (same text) and `minhash` (nearly the same). Both keep the first in `priority` order."""
