"""What is chosen among by name; command lines read this file, which start without NumPy."""

from __future__ import annotations

from typing import Literal

Variable = Literal["N", "D", "C"]
"""Of which a loss is a power law: parameters, tokens, FLOP."""
Method = Literal["akima", "parabola"]
"""How the lowest point of a profile of equal compute is found."""
Constants = Literal["chinchilla", "hoffmann", "muennighoff"]
"""Published ones of a law of size and data: planning/scaling.py."""
