"""Floor 4: what a run did, as one page that opens offline. Reads artifacts, knows no other folder of its floor.

svg      line charts
blocks   the kinds of thing a page is made of
page     run folder -> report.html
"""
