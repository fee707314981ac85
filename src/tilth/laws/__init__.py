"""Floor 1: laws as pure arithmetic. No torch.

model_size   parameters, FLOPs and memory of a decoder from its shape
counting     how N is counted: a type, never mixed
fitting/     one robust fit for every law: starts, bootstrap, held-out error, warnings
kaplan       Kaplan et al.: L(N), L(D), L(C), L(N, D) and its allocation
chinchilla   the parametric law and its optimum
isoflop      the best size read off runs: profiles at equal compute, envelope of training curves
repeated     what repeated epochs are worth
dcpt         continual pre-training: loss by size, tokens and share; which share to take
mixing/      losses by mixture: laws, processes, trees, ensemble, nested laws, critical ratio
"""
