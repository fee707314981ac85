"""Floor 4: what a run will need, before it runs.

sources_size   documents and bytes of the sources, from a sample of each file
forecast       parameters, tokens, memory and time; and what came of them

corpus_sample  pieces of files, every byte with the same chance
corpus_trial   the sample put through the real corpus chain
corpus_plan    what the chain needs for an input of any size, every figure with its formula

figures         figures with their formula and source; reports of them
trainer_memory  what Tilth's trainer holds at its peak, as an own sum
trainer_share   what of it one of several processes keeps under ZeRO
recompute       the least recomputation that fits into a memory
scaling         loss, the best size for a budget, repeated epochs, serving
cluster         devices, links, prices, failures
layout          how devices share a model's training, and every way that divides it
layout_memory   what a device holds under a layout
step_time       seconds of a step under a layout
layout_choice   the layout that is proposed; the nearest cluster that can
size_plan, memory_plan, layout_plan, scale_plan, cost_plan    the reports of `tilth plan`
budget          operations that may be spent, their time and price on a cluster
buy             build or buy
curves          what `--plot` draws of them
ranges          bounds of what is asked, with their units
"""
