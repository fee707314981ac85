"""Floor 7: parse, call, print. No logic.

main    the app, and how errors become one clear sentence and an exit status
run     tilth run, report
corpus  tilth corpus
look    tilth look
single_steps tilth dedup, decontaminate, mask
tokens  tilth tokenizer
plan    tilth plan
fit     tilth fit
mask    tilth show-mask
evaluate tilth evaluate
chat    tilth chat
serve   tilth serve
doctor  tilth doctor
table   CSV files of measured runs
options arguments that several commands share
"""
