"""Floor 4: what a run will need, before it runs.

sources_size   documents and bytes of the sources, from a sample of each file
forecast       parameters, tokens, memory and time; and what came of them
"""
