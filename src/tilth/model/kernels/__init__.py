"""Kernels for generation on a CPU, in fp32; numba is imported with them.

panels    pack, multiply: products with weights of fp32 or of bf16's values, a panel of 16 outputs at a time
rows      normalise_rows, turn_rows, swiglu_rows: what stands between the products
decode    DecodeStep: one token more for every row, the whole model in one call
"""
