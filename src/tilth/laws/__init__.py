"""Floor 1: laws as pure arithmetic. No torch.

model_size   parameters, FLOPs and memory of a decoder from its shape
"""
