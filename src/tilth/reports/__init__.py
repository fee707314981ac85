"""Floor 4: what a run did, as one page that opens offline. Reads artifacts, knows no other folder of its floor.

svg         line charts: the drawing, its colours, and as a part of a page
svg_file    a chart as a file of its own
blocks      the kinds of thing a page is made of
curves      journals of metrics as curves
corpus      the way through the corpus chain; the tokenizer
training    the phases of pre-training
steps       the steps behind pre-training
evaluation  the models side by side: held-out text, tasks, samples
page        run folder -> report.html
"""
