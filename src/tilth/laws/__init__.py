"""Floor 1: laws as pure arithmetic. No torch.

model_size      parameters of a decoder from its shape, in three countings
architectures   shapes of Hugging Face configurations, and of published models by name
flops           operations of training and serving in every convention
memory          model states under ZeRO, activations of the papers' models under tensor and pipeline parallelism
"""
