"""Running a chain over shards: the same result for one worker and many, killed or not.

passes      steps over one batch of documents       tasks          what one run over all shards is
writing     one shard of a pass, written            across         edits that look at the whole corpus first
shards      Parquet, the same to the byte           view           the whole corpus by column
work        scratch folders                         tally          counts that must add up
clock       CPU time by step, where a plan asks
"""
