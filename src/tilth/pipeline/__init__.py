"""Floor 5: from a recipe to a run folder.

recipe       Recipe, load_recipe
stage        Stage, Context: what a stage is
stages/      the bodies: corpus, tokens, pretrain, posttrain, finish
graph        recipe -> stages
checks       what is wrong with a recipe, before anything runs
amounts      what is asked of the text against what there can be
forecast     documents, tokens, memory and time, before anything runs
execute      artifacts, locks, resume
run          run_recipe: all of it, with the report
corpus_only  run_corpus: the corpus chain alone, on plain files
repeat       repeat_run: the training of a finished run once more, compared
single_steps one step of it: duplicates, benchmark items, personal data
"""
