"""Duplicates. All keep the first in `priority` order.

exact       documents with the same text                  minhash     documents with nearly the same text
passages    lines, paragraphs or sentences                substring   stretches of text, wherever they stand
cuts        cutting places out of texts
"""
