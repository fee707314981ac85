"""Published rule sets as settings: what is asked of a document's measured columns, and where each figure comes from.

Rule              one column, a lowest and a highest value
RuleSet           any of the sets below, told apart by `set`

base      what every set is
gopher    GopherQuality, GopherRepetition   (Rae et al., 2021)
c4        C4                                (Raffel et al., 2020)
fineweb   FineWeb                           (Penedo et al., 2024)
refinedweb  RefinedWeb                      (Penedo et al., 2023)
chinese   MapCC (Du et al., 2024), Chinese  (ours)

step      the sets applied: the step
keywords  lists of words, a step of its own

The sets are thresholds only: the columns are measured by `tilth.text.statistics`, those of RefinedWeb by the step
`lines`. They know neither numba nor pyarrow.
"""

from typing import Annotated

from pydantic import Field

from tilth.corpus.rules.base import Rule
from tilth.corpus.rules.c4 import C4
from tilth.corpus.rules.chinese import Chinese, MapCC
from tilth.corpus.rules.fineweb import FineWeb
from tilth.corpus.rules.gopher import GopherQuality, GopherRepetition
from tilth.corpus.rules.refinedweb import RefinedWeb

RuleSet = Annotated[
    GopherQuality | GopherRepetition | C4 | FineWeb | RefinedWeb | MapCC | Chinese,
    Field(discriminator="set"),
]

__all__ = ["C4", "Chinese", "FineWeb", "GopherQuality", "GopherRepetition", "MapCC", "RefinedWeb", "Rule", "RuleSet"]
