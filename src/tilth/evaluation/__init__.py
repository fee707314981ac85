"""Floor 4: what a model can do.

settings         EvaluateSettings: the recipe's `evaluate:` section
bits_per_byte    held-out bits per byte by domain
tasks            questions with exact answers: Item, answer_items, score
compare          ask_models, table: exported folders on the same items
canaries         planted secrets that a model gives away
samples          continuations of prompts, answers to questions
"""
