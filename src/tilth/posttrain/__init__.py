"""Floor 4, post-training: from a model that continues text to one that answers. Light: torch comes with `dpo` alone.

settings    SFTSettings, DPOSettings: the steps of the recipe's posttrain section; phase_of          (no torch)
data        render_files: records of conversations to a token store with a loss mask                 (no torch)
first_look  check_data: what the first records of a step's files tell before anything runs           (no torch)
show        masked_records: which tokens have a loss                                                 (no torch)
pairs       build_pair_pack: chosen and rejected documents side by side                              (no torch)
reader      JoinedReader: a step's own sequences and those of replayed text                          (no torch)
outcome     preference_table: what a step did to every pair                                          (no torch)
dpo         DPO, the objective; preference_loss; reference_log_probabilities; open_dpo for jobs
"""
