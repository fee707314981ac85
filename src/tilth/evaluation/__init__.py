"""Floor 4: what a model can do.

settings         EvaluateSettings: the recipe's `evaluate:` section
bits_per_byte    held-out bits per byte by domain
samples          continuations of prompts
"""
