"""The recipe's `corpus:` section: typed, strict, with defaults that suit a first run. Knows no pyarrow, no numba.

chain       CorpusSettings: sources, the order of the steps, the settings of each; how often a document is seen
sources     where documents come from, and the templates of their labels
texts       steps that change single texts
duplicates  steps that look for what stands in the corpus several times
apart       hold-out, decontamination, canaries: what a corpus owes to evaluation
"""

from tilth.corpus.settings.apart import (
    CanarySettings,
    DecontaminateSettings,
    HoldoutSettings,
)
from tilth.corpus.settings.chain import (
    DEFAULT_STEPS,
    CorpusSettings,
    MeasureSettings,
    RepeatSettings,
    StepName,
)
from tilth.corpus.settings.duplicates import (
    NearSettings,
    PassagesSettings,
    SubstringSettings,
    SurvivorSettings,
)
from tilth.corpus.settings.sources import (
    SourceSettings,
    Template,
    check_template,
    template_field,
)
from tilth.corpus.settings.texts import (
    DEFAULT_KINDS,
    KeywordsSettings,
    LinesSettings,
    MarkupSettings,
    MaskKind,
    MaskSettings,
    RepairSettings,
    SplitSettings,
    SymbolsSettings,
    WordList,
)

__all__ = [
    "DEFAULT_KINDS",
    "DEFAULT_STEPS",
    "CanarySettings",
    "CorpusSettings",
    "DecontaminateSettings",
    "HoldoutSettings",
    "KeywordsSettings",
    "LinesSettings",
    "MarkupSettings",
    "MaskKind",
    "MaskSettings",
    "MeasureSettings",
    "NearSettings",
    "PassagesSettings",
    "RepairSettings",
    "RepeatSettings",
    "SourceSettings",
    "SplitSettings",
    "StepName",
    "SubstringSettings",
    "SurvivorSettings",
    "SymbolsSettings",
    "Template",
    "WordList",
    "check_template",
    "template_field",
]
