"""What is done with a trained model: evaluation on the hold-out, export."""

from __future__ import annotations

from functools import partial
from typing import Any

from tilth.base.files import write_json
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Context, Stage
from tilth.pipeline.stages.tokens import group_table

EVALUATE_VERSION = 1
EXPORT_VERSION = 1


def evaluate_stage(recipe: Recipe, tokens: Stage, pack: Stage, model: Stage) -> Stage:
    """Bits per byte by domain and samples."""
    return Stage(
        "evaluate",
        EVALUATE_VERSION,
        {**recipe.evaluate.canonical(), "seed": recipe.seed},
        partial(_evaluate, recipe=recipe),
        {"tokens": tokens, "pack": pack, "model": model, "tokenizer": tokens.inputs["tokenizer"]},
    )


def _evaluate(context: Context, recipe: Recipe) -> dict[str, Any]:
    from tilth.evaluation.bits_per_byte import bits_per_byte, without_first_tokens
    from tilth.evaluation.samples import continue_prompts
    from tilth.tokens.pack import Pack
    from tilth.tokens.reader import SequenceReader
    from tilth.tokens.store import TokenStore
    from tilth.tokens.tokenizer import Tokenizer
    from tilth.training import device, load_model

    chosen = device.choose(context.compute.device)
    device.prepare(context.compute, chosen)
    model = load_model(context.inputs["model"]).to(chosen).eval()
    model.compute_dtype = device.precision(recipe.evaluate.precision, chosen)[1]
    tokenizer = Tokenizer.load(context.inputs["tokenizer"])
    store = TokenStore(context.inputs["tokens"] / "holdout")
    reader = SequenceReader(store, Pack.load(context.inputs["pack"]))
    table = group_table(context.inputs["pack"])
    if tokenizer.bos is None:
        table = without_first_tokens(table, store, tokenizer)
    scores = bits_per_byte(model, reader, table, tokenizer.eos, recipe.evaluate.batch)
    samples = continue_prompts(model, tokenizer, recipe.evaluate.samples, recipe.seed)
    write_json(context.out / "bits_per_byte.json", {"context": reader.length, "domains": scores})
    write_json(context.out / "samples.json", samples)
    return {name: round(row["bits_per_byte"], 4) for name, row in scores.items()}


def export_stage(tokenizer: Stage, model: Stage) -> Stage:
    """A Hugging Face folder: weights, configuration and tokenizer."""
    return Stage("export", EXPORT_VERSION, {}, _export, {"model": model, "tokenizer": tokenizer})


def _export(context: Context) -> dict[str, Any]:
    from tilth.model import export_model
    from tilth.tokens.tokenizer import Tokenizer
    from tilth.training import load_model

    tokenizer = Tokenizer.load(context.inputs["tokenizer"])
    model = load_model(context.inputs["model"])
    export_model(model, context.out, bos=tokenizer.bos, eos=tokenizer.eos, pad=tokenizer.pad)
    tokenizer.save(context.out)
    return {"parameters": model.config.parameter_count}
