"""Tilth: raw text to a trained, evaluated language model from one recipe.

The floors, from the ground up (a file imports only from lower floors or from its own folder):

    base                                       errors, settings, files, progress, events
    laws        text                           scaling, memory and FLOPs as pure maths; kernels over text
    model       tokens                         the decoder; tokenizer, shards, pack index, reader
    training    corpus                         loop, order, optimizers, checkpoints; sources, steps, rules, edits
    planning  evaluation  synthesis  reports   each reads artifacts, none knows the others
    pipeline                                   recipe -> stages -> run folder
    cli                                        parse, call, print
"""

__version__ = "0.1.0"
