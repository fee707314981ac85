"""Stages from sources to a corpus: synthesize, measure, corpus."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base.files import ContentHashes, check_unchanged, stamp
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.pipeline.recipe import Recipe, anchored
from tilth.pipeline.stage import Context, Stage

if TYPE_CHECKING:
    from tilth.corpus.sources import InputFile

SYNTHESIZE_VERSION = 4

Stamps = dict[Path, tuple[int, int]]
"""Size and time of the last change of files that are read later."""


def synthesize_stage(recipe: Recipe) -> Stage:
    """Documents from the built-in grammars, read back as sources."""
    settings = {"grammars": [grammar.canonical() for grammar in recipe.synthesize], "seed": recipe.seed}
    return Stage("synthesize", SYNTHESIZE_VERSION, settings, partial(_synthesize, recipe=recipe))


def _synthesize(context: Context, recipe: Recipe) -> dict[str, Any]:
    from tilth.synthesis.write import write_documents

    return write_documents(recipe.synthesize, recipe.seed, context.out)


def measure_stage(recipe: Recipe, base: Path, synthesized: Stage | None, hashes: ContentHashes) -> Stage:
    """The chain up to its first decision. Its settings are those of the steps before the cut, and no others."""
    from tilth.corpus.chain import build_chain
    from tilth.corpus.measure_stage import VERSION
    from tilth.corpus.rules.keywords import located

    settings = located(recipe.corpus, base)
    steps = build_chain(settings).before
    kinds = sorted({step.name.partition(".")[0] for step in steps})
    plain = _canonical(settings)
    identity = {
        "sources": [{k: v for k, v in source.canonical().items() if k != "path"} for source in settings.sources],
        "steps": [[step.name, step.VERSION] for step in steps],
        **{kind: plain[kind] for kind in kinds},
    }
    files, lists = source_files(settings, base), _word_lists(settings)
    external = {"files": [[file.source, file.name, content(file, hashes)] for file in files]}
    inputs = {"synthesized": synthesized} if synthesized else {}
    body = partial(_measure, settings=settings, files=files, lists=lists)
    return Stage("measure", VERSION, identity, body, inputs, external)


def _canonical(settings: CorpusSettings) -> dict[str, Any]:
    """Plain values without the places of the lists of words: their hashes say which they are."""
    plain = settings.canonical()
    for entry in plain["keywords"]["lists"]:
        del entry["file"]
    return plain


def _word_lists(settings: CorpusSettings) -> Stamps:
    """The files of words whose hashes have just been taken, as they are."""
    paths = [Path(entry.file) for entry in settings.keywords.lists if entry.file]
    return {path: stamp(path) for path in paths}


def _measure(context: Context, settings: CorpusSettings, files: list[InputFile], lists: Stamps) -> dict[str, Any]:
    """`files` are those that were hashed: what has come since is of the next run."""
    from tilth.corpus.measure_stage import measure_stage
    from tilth.corpus.sources import find_files

    written = context.inputs.get("synthesized")
    if written is not None:
        generated = SourceSettings(path=str(written.resolve() / "*.jsonl"))
        files = [*files, *(replace(f, source=len(settings.sources)) for f in find_files([generated], written))]
        settings = settings.model_copy(update={"sources": [*settings.sources, generated]})
    report = measure_stage(settings, files, context.out, context.work, context.compute.data_workers)
    _check_lists(lists)
    return {name: report[name] for name in ("records_read", "unreadable", "documents_out")}


def _check_lists(lists: Stamps) -> None:
    for path, before in lists.items():
        check_unchanged(path, before)


def content(file: InputFile, hashes: ContentHashes) -> str:
    """The content hash of a file; empty for one that cannot be read, which the corpus counts as unreadable."""
    return hashes.of(file.path) if file.readable else ""


def source_files(settings: CorpusSettings, base: Path) -> list[InputFile]:
    """The files of the recipe's own sources (none where everything is synthesized)."""
    from tilth.corpus.sources import find_files

    return find_files(settings.sources, base) if settings.sources else []


def corpus_stage(recipe: Recipe, base: Path, measured: Stage, hashes: ContentHashes) -> Stage:
    """The chain from its first decision on."""
    from tilth.corpus.chain import build_chain
    from tilth.corpus.corpus_stage import VERSION
    from tilth.corpus.decontamination.benchmarks import check_benchmarks
    from tilth.corpus.rules.keywords import located

    settings = located(recipe.corpus, base)
    benchmarks = benchmark_files(settings, base)
    check_benchmarks(benchmarks, settings.decontaminate)
    steps = [[step.name, step.VERSION] for step in build_chain(settings, benchmarks).steps]
    optional = {"passages", "substring"}  # only where they are run; their memory shapes no result
    left_out = {"sources", *(optional - set(settings.steps))}
    identity = {k: v for k, v in _canonical(settings).items() if k not in left_out} | {"versions": steps}
    identity["decontaminate"].pop("against")
    for name in identity.keys() & optional:
        identity[name].pop("memory")
    return Stage(
        "corpus",
        VERSION,
        identity,
        partial(_corpus, settings=settings, benchmarks=benchmarks, lists=_word_lists(settings)),
        {"measured": measured},
        {"benchmarks": [[file.name, content(file, hashes)] for file in benchmarks]},
    )


def _corpus(context: Context, settings: CorpusSettings, benchmarks: list[InputFile], lists: Stamps) -> dict[str, Any]:
    from tilth.corpus.corpus_stage import corpus_stage

    workers = context.compute.data_workers
    report = corpus_stage(settings, context.inputs["measured"], context.out, context.work, workers, benchmarks)
    for file in benchmarks:
        file.check_unchanged()
    _check_lists(lists)
    kept = ("documents_in", "documents_born", "documents_kept", "documents_holdout", "documents_rejected")
    return {name: report[name] for name in kept}


def benchmark_files(settings: CorpusSettings, base: Path) -> list[InputFile]:
    """The benchmark files that the corpus is held against."""
    from tilth.corpus.sources import find_files

    against = [SourceSettings(path=anchored(path, base)) for path in settings.decontaminate.against]
    return find_files(against, base, called="corpus.decontaminate.against") if against else []
