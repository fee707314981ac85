"""Floor 1: laws as pure arithmetic. No torch.

model_size      parameters of a decoder from its shape, in three countings
architectures   shapes of Hugging Face configurations, and of published models by name
flops           operations of training in every convention
data_sheets     what devices can do at most
memory          model states under ZeRO, activations of the papers' models under tensor and pipeline parallelism
partition       whole tensors shared out among processes

counting     how N is counted: a type, never mixed
choices      what is chosen among by name
allocation   parameters and tokens for a budget
fitting/     one robust fit for every law: starts, bootstrap, held-out error, warnings
kaplan       Kaplan et al.: L(N), L(D), L(C), L(N, D) and its allocation
chinchilla   the parametric law and its optimum
isoflop      the best size read off runs: profiles at equal compute, envelope of training curves
repeated     what repeated epochs are worth
dcpt         continual pre-training: loss by size, tokens and share; which share to take
mixing/      losses by mixture: laws, processes, trees, ensemble, nested laws, critical ratio
"""
