"""Steps behind pre-training as stages: records, rendered and packed; what the reference model says; the training."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.files import ContentHashes, read_json, write_json
from tilth.corpus.settings import SourceSettings
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Context, Stage
from tilth.pipeline.stages.corpus import content
from tilth.pipeline.stages.finish import model_folder
from tilth.pipeline.stages.pretrain import run_phase
from tilth.posttrain.settings import DPOSettings, SFTSettings, phase_of
from tilth.training.folder import MEASURED_FILES
from tilth.training.job import Factory, Job

if TYPE_CHECKING:
    import torch

    from tilth.corpus.sources import InputFile
    from tilth.posttrain.reader import JoinedReader

Step = SFTSettings | DPOSettings

GENERATE_VERSIONS = {"conversations": 5, "preferences": 4, "items": 6}
RENDER_VERSION = 4
PACK_VERSION = 1
REFERENCE_VERSION = 3
STEP_VERSION = 1
DRAWS_VERSION = 2
"""Of the dropout of adapters and of the noise of embeddings: it counts for steps that have one of them."""
PREFERENCES_VERSION = 2


def generate_stage(recipe: Recipe, what: str, count: int) -> Stage:
    """Records from the built-in grammars: conversations, preferences or items."""
    return Stage(
        f"generate-{what}-{count}",
        GENERATE_VERSIONS[what],
        {"what": what, "count": count, "seed": recipe.seed},
        partial(_generate, what=what, count=count, seed=recipe.seed),
    )


def _generate(context: Context, what: str, count: int, seed: int) -> dict[str, Any]:
    from tilth.synthesis.write import write_records

    return {"records": write_records(what, count, seed, context.out)}


def render_stage(step: Step, base: Path, tokenizer: Stage, generated: list[Stage], hashes: ContentHashes) -> Stage:
    """The step's records as tokens with their loss mask."""
    files = data_files(step, base)
    settings = {
        "template": step.template,
        "sequence_length": step.sequence_length,
        "pairs": step.kind == "dpo",
        "generated": [stage.name for stage in generated],
    }
    inputs = {"tokenizer": tokenizer} | {stage.name: stage for stage in generated}
    return Stage(
        f"render-{step.name}",
        RENDER_VERSION,
        settings,
        partial(_render, step=step, files=files, generated=[stage.name for stage in generated]),
        inputs,
        {"files": [[file.source, file.name, content(file, hashes)] for file in files]},
    )


def data_files(step: Step, base: Path) -> list[InputFile]:
    """The files that the step's data names (none where everything is generated)."""
    from tilth.corpus.sources import find_files

    given = {f"posttrain.{step.name}.data.{i}": data.path for i, data in enumerate(step.data) if data.path is not None}
    sources = [SourceSettings(path=path) for path in given.values()]
    return find_files(sources, base, called=list(given)) if sources else []


def _render(context: Context, step: Step, files: list[InputFile], generated: list[str]) -> dict[str, Any]:
    from tilth.corpus.sources import find_files
    from tilth.posttrain.data import Rendering, render_files
    from tilth.tokens.chat import fitting_template
    from tilth.tokens.tokenizer import Tokenizer

    own = [SourceSettings(path=str(context.inputs[name].resolve() / "*.jsonl")) for name in generated]
    files = [*files, *(find_files(own, context.out, called=generated) if own else [])]
    tokenizer = context.inputs["tokenizer"]
    template = step.template or fitting_template(Tokenizer.load(tokenizer)).name
    rendering = Rendering(tokenizer, template, step.sequence_length, pairs=step.kind == "dpo")
    workers, label = context.compute.data_workers, f"render {step.name}"
    report = render_files(files, rendering, context.out, context.work, workers=workers, label=label)
    write_json(context.out / "template.json", {"template": template})
    if 2 * report["examples"] < report["records_read"]:
        print(
            f"warning: {step.name} is trained on {report['examples']:,} of {report['records_read']:,} records: "
            f"{report['unreadable']:,} are unreadable, {report['too_long']:,} longer than sequence_length "
            f"({step.sequence_length:,}); the report names them",
            file=sys.stderr,
        )
    return {name: value for name, value in report.items() if name != "faults"}


def pack_step_stage(step: Step, rendered: Stage) -> Stage:
    """Whole conversations, a group for each domain; the two of a pair side by side."""
    settings = {"length": step.sequence_length, "pairs": step.kind == "dpo"}
    return Stage(f"pack-{step.name}", PACK_VERSION, settings, partial(_pack, step=step), {"rendered": rendered})


def _pack(context: Context, step: Step) -> dict[str, Any]:
    from tilth.posttrain.pairs import build_pair_pack
    from tilth.tokens.groups import resolve_groups
    from tilth.tokens.pack import build_pack
    from tilth.tokens.store import TokenStore

    store = TokenStore(context.inputs["rendered"])
    members = resolve_groups(sorted(set(store.columns["domain"].tolist())), {}, store.columns)
    build = build_pair_pack if step.kind == "dpo" else build_pack
    pack = build(store.lengths, members, step.sequence_length)
    pack.save(context.out)
    table = {
        name: {
            "documents": len(members[name]),
            "sequences": pack.sequences(name),
            "pairs": pack.pairs(name),
            "fill": round(pack.fill(name), 5),
        }
        for name in members
    }
    write_json(context.out / "groups.json", table)
    return {"sequences": sum(row["sequences"] for row in table.values()), "groups": len(table)}


def reference_stage(
    recipe: Recipe, step: DPOSettings, rendered: Stage, before: Stage | None, external: dict[str, Any]
) -> Stage:
    """Log-probabilities of every chosen and rejected answer under the model that the step starts from."""
    return Stage(
        f"reference-{step.name}",
        REFERENCE_VERSION,
        {"precision": step.precision},
        partial(_refer, recipe=recipe, step=step),
        {"rendered": rendered} | ({"before": before} if before else {}),
        external,
        needs_torch=True,
    )


def _refer(context: Context, recipe: Recipe, step: DPOSettings) -> dict[str, Any]:
    from tilth.training import device

    products = device.precision(step.precision, device.choose(context.compute.device))[1]
    found = _log_probabilities(context, model_folder(context, recipe, "before"), products)
    np.save(context.out / "reference.npy", found)
    write_json(context.out / "precision.json", {"products": str(products).removeprefix("torch.")})
    return {"documents": len(found)}


def _log_probabilities(context: Context, folder: Path, products: torch.dtype) -> np.ndarray:
    """float64[documents] of the input `rendered` under the model in `folder`."""
    from tilth.posttrain.dpo import reference_log_probabilities
    from tilth.tokens.store import TokenStore
    from tilth.training import device, load_for_inference

    chosen = device.choose(context.compute.device)
    device.prepare(context.compute, chosen)
    model = load_for_inference(folder, chosen, products)
    return reference_log_probabilities(model, TokenStore(context.inputs["rendered"]), context.work)


def preferences_stage(recipe: Recipe, step: DPOSettings, rendered: Stage, reference: Stage, trained: Stage) -> Stage:
    """What the step did to every chosen and every rejected answer."""
    return Stage(
        f"preferences-{step.name}",
        PREFERENCES_VERSION,
        {},
        partial(_compare, recipe=recipe),
        {"rendered": rendered, "reference": reference, "model": trained},
        needs_torch=True,
    )


def _compare(context: Context, recipe: Recipe) -> dict[str, Any]:
    import torch

    from tilth.posttrain.outcome import preference_table
    from tilth.tokens.store import TokenStore

    reference = context.inputs["reference"]
    products = getattr(torch, read_json(reference / "precision.json")["products"])  # else rounding would be a change
    after = _log_probabilities(context, model_folder(context, recipe), products)
    domains = TokenStore(context.inputs["rendered"]).columns["domain"].tolist()
    rows = preference_table(np.load(reference / "reference.npy"), after, domains)
    write_json(context.out / "preferences.json", rows)
    return {name: value for name, value in rows[0].items() if name != "domain"}


def step_name(step: Step) -> str:
    """The stage's name: the kind in front of the step's name, unless it begins with it."""
    return step.name if step.name.startswith(step.kind) else f"{step.kind}-{step.name}"


def step_stage(
    recipe: Recipe,
    step: Step,
    rendered: Stage,
    pack: Stage,
    before: Stage | None,
    replay: dict[str, Stage],
    reference: Stage | None,
    external: dict[str, Any],
) -> Stage:
    """The training, from the weights of `before` (None: the recipe's base, whose content is `external`).

    `replay` holds the token store and the pack of what is replayed, where anything is.
    """
    inputs = {"rendered": rendered, "pack": pack, **replay}
    inputs |= {"before": before} if before else {}
    inputs |= {"reference": reference} if reference else {}
    settings = {"step": step.shaping(), "seed": recipe.seed}
    if step.embedding_noise or (step.adapter and step.adapter.dropout):
        settings["draws"] = DRAWS_VERSION
    return Stage(
        step_name(step),
        STEP_VERSION,
        settings,
        partial(_train, recipe=recipe, step=step),
        inputs,
        external,
        measured=MEASURED_FILES,
        needs_torch=True,
    )


def _train(context: Context, recipe: Recipe, step: Step) -> dict[str, Any]:
    folders = {name: str(folder.resolve()) for name, folder in context.inputs.items()}
    names = ("rendered", "pack", "tokens", "replay")
    arguments = {name: folders[name] for name in names if name in folders}
    groups = {name: row["sequences"] for name, row in read_json(context.inputs["pack"] / "groups.json").items()}
    objective = None
    if isinstance(step, DPOSettings):
        terms = {"reference": folders["reference"] + "/reference.npy", **step.objective()}
        objective = Factory("tilth.posttrain.dpo:open_dpo", terms)
    job = Job(
        phase=phase_of(step, groups),
        reader=Factory("tilth.pipeline.stages.posttrain:open_reader", arguments),
        folder=context.out,
        start=model_folder(context, recipe, "before"),
        seed=recipe.seed,
        compute=context.compute,
        objective=objective,
        adapter=step.adapter,
        embedding_noise=step.embedding_noise,
        fresh=True,
    )
    return run_phase(context, job)


def open_reader(rendered: str, pack: str, tokens: str | None = None, replay: str | None = None) -> JoinedReader:
    """The step's sequences, and those of the replayed groups; every process opens its own."""
    from tilth.posttrain.reader import JoinedReader
    from tilth.tokens.pack import Pack
    from tilth.tokens.reader import SequenceReader
    from tilth.tokens.store import TokenStore

    readers = [SequenceReader(TokenStore(Path(rendered)), Pack.load(Path(pack)))]
    if tokens is not None and replay is not None:
        readers.append(SequenceReader(TokenStore(Path(tokens) / "train"), Pack.load(Path(replay))))
    return JoinedReader(readers)
