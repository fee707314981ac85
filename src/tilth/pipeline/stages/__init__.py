"""The bodies of the stages, one file a part of the way.

corpus      synthesize, measure, corpus
tokens      tokenizer, tokens, pack
pretrain    a phase of pre-training
posttrain   generate, render, pack, reference, a step of post-training
finish      evaluate, export
"""
