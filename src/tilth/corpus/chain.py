"""The chain: steps built from settings, checked for sense, cut in front of the first step that sees the corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tilth.base.errors import UserError, nearest
from tilth.base.expression import Condition
from tilth.corpus.document import COLUMNS, HASH, MINHASH, SIGNAL
from tilth.corpus.settings import DEFAULT_STEPS, CorpusSettings, MeasureSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.steps import ColumnDecision, CorpusEdit, Decide, Edit, Measure, Step


@dataclass(frozen=True)
class Segment:
    """Decisions over columns, an edit that looks at the whole corpus, then steps over texts: what one pass does."""

    decisions: tuple[ColumnDecision, ...]
    across: CorpusEdit | None
    texts: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps in order."""
        return (*self.decisions, *([self.across] if self.across else []), *self.texts)


@dataclass(frozen=True)
class Chain:
    """`before` the cut stands what is a function of each document alone; `segments` are the rest, pass by pass."""

    before: tuple[Step, ...]
    segments: tuple[Segment, ...]
    stale: frozenset[str]
    """Measured columns that an edit made untrue and nobody measured again."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return self.before + tuple(step for segment in self.segments for step in segment.steps)


def build_chain(settings: CorpusSettings, benchmarks: Sequence[InputFile] = ()) -> Chain:
    """The steps that `settings.steps` names, with their settings; raises `UserError` for an order without sense."""
    counts: Counter[str] = Counter()
    steps: list[Step] = []
    for name in settings.steps:
        counts[name] += 1
        label = name if counts[name] == 1 else f"{name}.{counts[name]}"
        if name == "keywords":
            from tilth.corpus.rules.keywords import keyword_steps

            steps += keyword_steps(label, settings.keywords)
        elif (step := _make(name, label, settings, benchmarks)) is not None:
            steps.append(step)
    _check_work(settings)
    _check_names(settings, steps)
    _check_signals(settings, steps)
    stale = _check(steps, settings)
    cut = next((i for i, step in enumerate(steps) if not _stands_alone(step)), len(steps))
    return Chain(tuple(steps[:cut]), _segments(steps[cut:]), stale)


def _stands_alone(step: Step) -> bool:
    """Whether what it does is a function of each document alone."""
    return not isinstance(step, Decide | CorpusEdit) and (not isinstance(step, Edit) or step.alone)


def _make(kind: str, name: str, settings: CorpusSettings, benchmarks: Sequence[InputFile]) -> Step | None:
    """One step; None for one that has nothing to do."""
    match kind:
        case "repair":
            from tilth.corpus.edits.repair import RepairStep

            return RepairStep(name, settings.repair)
        case "lines":
            from tilth.corpus.edits.lines import LinesStep

            return LinesStep(name, settings.lines)
        case "split":
            from tilth.corpus.edits.split import SplitStep

            return SplitStep(name, settings.split)
        case "measure":
            from tilth.corpus.measure import MeasureStep

            return MeasureStep(name, settings.measure)
        case "exact":
            from tilth.corpus.dedup.exact import ExactStep

            return ExactStep(name, settings.survivor)
        case "rules":
            from tilth.corpus.rules.step import RulesStep

            return RulesStep(name, settings.rules) if settings.rules else None
        case "holdout":
            from tilth.corpus.holdout import HoldoutStep

            return None if settings.holdout.off else HoldoutStep(name, settings.holdout)
        case "near":
            from tilth.corpus.dedup.minhash import NearStep

            return NearStep(name, settings.near, settings.survivor)
        case "passages":
            from tilth.corpus.dedup.passages import PassagesStep

            return PassagesStep(name, settings.passages)
        case "substring":
            from tilth.corpus.dedup.substring import SubstringStep

            return SubstringStep(name, settings.substring)
        case "mask":
            from tilth.corpus.privacy.mask import MaskStep

            return MaskStep(name, settings.mask)
        case "symbols":
            from tilth.corpus.edits.symbols import SymbolsStep

            return SymbolsStep(name, settings.symbols)
        case "markup":
            from tilth.corpus.edits.markup import MarkupStep

            return MarkupStep(name, settings.markup)
        case "decontaminate":
            from tilth.corpus.decontamination.step import CutItemsStep, DecontaminateStep, Search

            if not benchmarks:
                return None
            search = Search(settings.decontaminate, benchmarks)
            cuts = settings.decontaminate.action == "cut"
            return CutItemsStep(name, search) if cuts else DecontaminateStep(name, search)
    raise ValueError(kind)


def _check_work(settings: CorpusSettings) -> None:
    """No step is asked for that has nothing to do. The usual chain has two such steps, where nobody asked for them."""
    if tuple(settings.steps) == DEFAULT_STEPS:
        return
    asked = (
        ("keywords", settings.keywords.lists, "there are no words", "`keywords: {lists: [...]}`"),
        ("rules", settings.rules, "there are no rules", "`rules: [{set: gopher_quality}]`"),
        (
            "decontaminate",
            settings.decontaminate.against,
            "there are no benchmarks",
            "`decontaminate: {against: [...]}`",
        ),
    )
    for name, given, lacking, example in asked:
        if name in settings.steps and not given:
            hint = f"add {example}, or leave the step out"
            raise UserError(f"has `{name}`, but {lacking}", where="corpus.steps", hint=hint)


def _check_signals(settings: CorpusSettings, steps: Sequence[Step]) -> None:
    """No number of a source has the name of a column that the chain adds and would write over it."""
    added = {column for step in steps if isinstance(step, Measure | Edit) for column in step.adds()}
    for number, source in enumerate(settings.sources):
        for name in source.signals:
            if SIGNAL + name in added:
                where = f"corpus.sources.{number}.signals.{name}"
                raise UserError("the chain adds a column of this name itself", where=where, hint="give it another")


def _check_names(settings: CorpusSettings, steps: Sequence[Step]) -> None:
    """Conditions name columns that can be there at all, and compare each with its own kind."""
    conditions = [(f"corpus.rules.{i}.where", rules.where) for i, rules in enumerate(settings.rules)]
    conditions += [(f"corpus.repeat.{i}.where", entry.where) for i, entry in enumerate(settings.repeat)]
    conditions += [("corpus.holdout.where", settings.holdout.where), ("corpus.markup.where", settings.markup.where)]
    lists = enumerate(settings.keywords.lists)
    conditions += [(f"corpus.keywords.lists.{i}.where", entry.where) for i, entry in lists]
    asked = [(field, Condition(text)) for field, text in conditions if text]
    known: dict[str, str | float | bytes] = dict.fromkeys(COLUMNS, "")
    if any(name not in known for _, condition in asked for name in condition.names):
        known |= _measured(settings, steps)
    for field, condition in asked:
        for name in condition.names:
            if isinstance(known.get(name), bytes):
                raise UserError(f"{condition.text!r}: {name} is bytes, which nothing can be compared with", where=field)
        try:
            condition.try_on({name: kind for name, kind in known.items() if not isinstance(kind, bytes)})
        except UserError as error:
            missing = next((name for name in condition.names if name not in known), None)
            hint = error.hint if missing is None else nearest(missing, known)
            raise UserError(error.message, where=field, hint=hint) from None


def _measured(settings: CorpusSettings, steps: Sequence[Step]) -> dict[str, str | float | bytes]:
    """Columns that the chain can add, each with some value of its kind."""
    from tilth.corpus.measure import MeasureStep

    measured = dict(MeasureStep("measure", settings.measure).adds())
    for step in steps:
        if isinstance(step, Measure | Edit):
            measured.update(step.adds())
    return measured | {SIGNAL + name: 0.0 for source in settings.sources for name in source.signals}


def _check(steps: Sequence[Step], settings: CorpusSettings) -> frozenset[str]:
    """Every column that a step reads must have been measured, and not be changed by an edit since."""
    measured = {SIGNAL + name for source in settings.sources for name in source.signals}
    from_source = frozenset(measured)
    changed_by: dict[str, str] = {}
    blurred: set[str] = set()
    for position, step in enumerate(steps):
        for column in step.needs():
            _demand(column, f"step {position + 1} ({step.name})", measured, changed_by)
        added = frozenset(step.adds()) if isinstance(step, Measure | Edit) else frozenset()
        if isinstance(step, Edit | CorpusEdit):
            touched = measured - from_source
            if isinstance(step, Edit) and step.blurs:
                blurred |= touched - changed_by.keys() - {HASH, MINHASH}
            else:
                blurred -= touched
            changed_by.update(dict.fromkeys(touched, step.name))
        measured |= added
        blurred -= added
        for column in added:
            changed_by.pop(column, None)
    untrue = {column: name for column, name in changed_by.items() if column not in blurred}
    for entry in settings.repeat:
        for column in Condition(entry.where).names:
            _demand(column, f"repeat ({entry.where})", measured, untrue)
    return frozenset(untrue) & measured


def _demand(column: str, who: str, measured: set[str], changed_by: dict[str, str]) -> None:
    if column in COLUMNS:
        return
    if column in changed_by:
        raise UserError(
            f"{who} reads {column!r}, which the step {changed_by[column]!r} before it made untrue",
            where="corpus.steps",
            hint=f"write `measure` again between {changed_by[column]!r} and it",
        )
    if column not in measured:
        message = f"{who} reads {column!r}, which no step before it measures"
        raise UserError(message, where="corpus.steps", hint=_source_of(column))


def _source_of(column: str) -> str:
    """What to do for a column that nothing measures."""
    from tilth.corpus.measure import MeasureStep

    if column == f"{SIGNAL}removed_words":
        return "set `lines: {web: true}`"
    if column in MeasureStep("measure", MeasureSettings()).adds():
        return "write `measure` before it"
    return f"a source gives a number of its own by `signals: {{{column.removeprefix(SIGNAL)}: FIELD}}`"


def _segments(steps: Sequence[Step]) -> tuple[Segment, ...]:
    """Cut into passes: what looks at the whole corpus needs all shards of the pass before, so it begins a new one."""
    letters = "".join(map(_letter, steps))
    segments = []
    for match in re.finditer("d*c?t*", letters):
        part = steps[match.start() : match.end()]
        if part:
            decisions = tuple(step for step in part if isinstance(step, ColumnDecision))
            across = next((step for step in part if isinstance(step, CorpusEdit)), None)
            segments.append(Segment(decisions, across, tuple(part[len(decisions) + (across is not None) :])))
    return tuple(segments) or (Segment((), None, ()),)


def _letter(step: Step) -> str:
    return "d" if isinstance(step, ColumnDecision) else "c" if isinstance(step, CorpusEdit) else "t"
