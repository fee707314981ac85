"""Floor 3: raw files in, a clean, deduplicated, explained corpus out. No torch.

What others use:

settings       CorpusSettings, HoldoutSettings, SourceSettings: the recipe's `corpus:` section (no pyarrow, no numba)
sources        find_files, InputFile: JSON Lines, Parquet, CSV, text, source trees
chain          build_chain: the steps in order, checked for sense, cut in front of the first that sees the corpus
measure_stage  measure_stage, VERSION: from sources to measured documents
corpus_stage   corpus_stage, VERSION: from measured documents to kept, hold-out and rejected ones
look           what `tilth look` shows of the result

The steps, in their usual order:

repair         Unicode, line ends, control characters
lines          boilerplate lines
split          very long documents into parts
measure        language, signals, signatures           language   which language, by script and by words
dedup/         exact and near-duplicates, repeated passages and substrings
rules_step     the rule sets of rules/ applied
holdout        documents kept aside for evaluation
mask           personal data                           mask_patterns   what it looks like: mask_checks, mask_addresses
decontaminate  benchmark items                         benchmarks   their files and index
repeat         how often a document is seen
canaries       secrets planted behind the chain

Under them: document (columns), steps (the kinds), passes, tasks and writing (running them), across (edits that look at
the whole corpus), work (scratch folders), view (columns of the whole corpus), shards (Parquet), tally (counts that must
add up), report, card.
Steps by request: keywords (lists of words), symbols and symbol_names (emoji into words); boilerplate: patterns.
Heavy packages are imported where they are used.
"""
