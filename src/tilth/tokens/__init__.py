"""Floor 2: text as tokens. No torch.

settings     TokenizerSettings: the recipe's `tokenizer:` section
split        the pattern that cuts text before merging
conversation Turn, Conversation, Preference, SourceTarget: the layouts that records come in
templates    TEMPLATES: what stands around each role's content
chat         Chat: conversations as ids with their loss mask
tokenizer    Tokenizer (tokenizer.json in and out), train_bpe
quality      lossless check, compression by domain
megatron     Megatron-LM's .bin/.idx layout
encode       documents -> token store, unit by unit
store        TokenStore: tokens and the document table
groups       named sets of documents
pack         Pack, build_pack: which pieces make up each sequence
reader       SequenceReader, Sequence: what training reads
"""
