"""Floor 7: parse, call, print. No logic.

main    the entry: loads the app, and hears Ctrl-C meanwhile
app     the commands, and how errors become one clear sentence and an exit status
usage   what is wrong with a command line, as such a sentence
run     tilth run, report
repeat  tilth repeat, resume
corpus  tilth corpus
look    tilth look
single_steps tilth dedup, decontaminate, mask
tokens  tilth tokenizer
plan    tilth plan
plan_inputs what its commands are given: models, clusters, budgets
fit     tilth fit
fit_continual dcpt, critical
fit_mixing mixing, nested
fit_input shared options of the laws, and the columns that they need
fit_output what was found, for people and machines
fit_charts what was found, as a drawing
result_files the JSON and SVG files of fit and plan
mask    tilth show-mask
evaluate tilth evaluate
chat    tilth chat
serve   tilth serve
doctor  tilth doctor
numbers options that are numbers, checked
table   CSV files of measured runs
options arguments that several commands share
"""
