"""Floor 3: raw files in, a clean, deduplicated, explained corpus out. No torch.

What others use:

settings       CorpusSettings, HoldoutSettings, SourceSettings: the recipe's `corpus:` section (no pyarrow, no numba)
sources        find_files, InputFile: JSON Lines, Parquet, CSV, text, source trees
chain          build_chain: the steps in order, checked for sense, cut in front of the first that sees the corpus
measure_stage  measure_stage, VERSION: from sources to measured documents
corpus_stage   corpus_stage, VERSION: from measured documents to kept, hold-out and rejected ones
look           what `tilth look` shows of the result

The steps, in their usual order:

edits/            repair, markup, boilerplate lines, emoji, splitting
measure           language, signals, signatures
language          which language, by script and by words
rules/            rule sets, lists of words
dedup/            exact and near-duplicates, repeated passages and substrings
holdout           documents kept aside for evaluation
privacy/          personal data masked, canaries planted
decontamination/  benchmark items
repeat            how often a document is seen

Under them: document (columns), steps (the kinds), running/ (passes over shards), report, card,
input_warnings (what to know of the files that were read).
Heavy packages are imported where they are used.
"""
