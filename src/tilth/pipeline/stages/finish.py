"""What is done with trained models: each is evaluated and exported."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base.errors import UserError
from tilth.base.files import atomic_file, read_json, write_json
from tilth.evaluation.settings import EvaluateSettings, TaskSettings
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stage import Context, Stage
from tilth.pipeline.stages.tokens import group_table

if TYPE_CHECKING:
    from tilth.evaluation.tasks import Form
    from tilth.model import Decoder
    from tilth.tokens.chat import Chat
    from tilth.tokens.tokenizer import Tokenizer

EVALUATE_VERSION = 3
EXPORT_VERSION = 2


def evaluate_stage(
    recipe: Recipe, name: str, tokenizer: Stage, model: Stage | None, inputs: dict[str, Stage], external: dict[str, Any]
) -> Stage:
    """Bits per byte by domain, tasks and samples of the model called `name` (None: the recipe's base).

    `inputs` may hold `tokens` and `pack` (the hold-out), `items` (generated ones), `rendered` (where the model has
    learnt to chat) and `planted` (a corpus with canaries).
    """
    return Stage(
        f"evaluate-{name}",
        EVALUATE_VERSION,
        evaluation_settings(recipe) | {"seed": recipe.seed},
        partial(_evaluate, recipe=recipe),
        inputs | {"tokenizer": tokenizer} | ({} if model is None else {"model": model}),
        external,
        needs_torch=True,
    )


def evaluation_settings(recipe: Recipe) -> dict[str, Any]:
    """What shapes an evaluation: files of items are known by their content, and the batch changes rounding alone."""
    settings = {name: value for name, value in recipe.evaluate.canonical().items() if name != "batch"}
    settings["tasks"] = [{k: v for k, v in task.items() if k != "path"} for task in settings["tasks"]]
    return settings


def _evaluate(context: Context, recipe: Recipe) -> dict[str, Any]:
    from tilth.evaluation.samples import answer_questions, continue_prompts
    from tilth.tokens.tokenizer import Tokenizer
    from tilth.training import device, load_for_inference

    chosen = device.choose(context.compute.device)
    device.prepare(context.compute, chosen)
    products = device.precision(recipe.evaluate.precision, chosen)[1]
    model = load_for_inference(model_folder(context, recipe), chosen, products)
    tokenizer = Tokenizer.load(context.inputs["tokenizer"])
    chat = open_chat(context, tokenizer)
    samples = recipe.evaluate.samples
    said = continue_prompts(model, tokenizer, samples, recipe.seed)
    if chat is not None:
        said = answer_questions(model, chat, samples, recipe.seed) + said
    write_json(context.out / "samples.json", said)
    figures: dict[str, Any] = {}
    if "tokens" in context.inputs:
        figures |= _bits_per_byte(context, recipe, model, tokenizer)
    if recipe.evaluate.tasks:
        figures |= _tasks(context, recipe.evaluate, model, tokenizer, chat)
    if "planted" in context.inputs:
        figures |= _canaries(context, recipe.seed, model, tokenizer)
    return figures


def model_folder(context: Context, recipe: Recipe, name: str = "model") -> Path:
    """The folder of the input `name`, a finished phase; the recipe's base where there is none."""
    if name in context.inputs:
        return context.inputs[name]
    assert recipe.base is not None
    return recipe.base


def open_chat(context: Context, tokenizer: Tokenizer) -> Chat | None:
    """The template that the model was tuned with, or None."""
    from tilth.tokens.chat import Chat
    from tilth.tokens.templates import chat_template

    if "rendered" not in context.inputs:
        return None
    name = read_json(context.inputs["rendered"] / "template.json")["template"]
    return Chat(chat_template(name), tokenizer)


def _bits_per_byte(context: Context, recipe: Recipe, model: Decoder, tokenizer: Tokenizer) -> dict[str, float]:
    from tilth.evaluation.bits_per_byte import bits_per_byte, without_first_tokens
    from tilth.tokens.pack import Pack
    from tilth.tokens.reader import SequenceReader
    from tilth.tokens.store import TokenStore

    store = TokenStore(context.inputs["tokens"] / "holdout")
    reader = SequenceReader(store, Pack.load(context.inputs["pack"]))
    table = group_table(context.inputs["pack"])
    if tokenizer.bos is None:
        table = without_first_tokens(table, store, tokenizer)
    scores = bits_per_byte(model, reader, table, tokenizer.eos, recipe.evaluate.batch)
    write_json(context.out / "bits_per_byte.json", {"context": reader.length, "domains": scores})
    return {name: round(row["bits_per_byte"], 4) for name, row in scores.items()}


def _tasks(
    context: Context, settings: EvaluateSettings, model: Decoder, tokenizer: Tokenizer, chat: Chat | None
) -> dict[str, float]:
    """Every item in every form; what was said is kept beside the scores."""
    from tilth.evaluation.tasks import answer_items, read_items, score

    forms: tuple[Form, ...] = ("native", "few-shot") if chat is None else ("chat",)
    rows: list[dict[str, Any]] = []
    with atomic_file(context.out / "answers.jsonl") as aside, aside.open("w", encoding="utf-8") as lines:
        for task in settings.tasks:
            items = read_items(_items_file(context, task))
            for form in forms:
                said = answer_items(model, tokenizer, items, form, chat, limit=task.answer_tokens)
                rows += [{"task": task.name, "form": form, **row} for row in score(items, said)]
                for item, text in zip(items, said, strict=True):
                    told = {"task": task.name, "id": item.id, "form": form, "question": item.question, "said": text}
                    right = {"right": item.is_right(text), "answers": list(item.answers)}
                    lines.write(json.dumps(told | right, ensure_ascii=False) + "\n")
    write_json(context.out / "tasks.json", rows)
    return {f"right {form}": round(_mean_accuracy(rows, form), 4) for form in forms}


def _canaries(context: Context, seed: int, model: Decoder, tokenizer: Tokenizer) -> dict[str, Any]:
    """How many of the planted secrets the model gives away."""
    from tilth.corpus.privacy.canaries import read_canaries
    from tilth.evaluation.canaries import OTHERS, by_repeats, give_away

    planted = read_canaries(context.inputs["planted"])
    if not planted:
        return {}
    rows = give_away(model, tokenizer, planted, seed)
    write_json(context.out / "canaries.json", {"others": OTHERS, "by_repeats": by_repeats(rows), "canaries": rows})
    return {"canaries extracted": f"{sum(row['extracted'] for row in rows)} of {len(rows)}"}


def task_files(recipe: Recipe) -> list[Path]:
    """The files of items that the recipe names."""
    return [Path(task.path) for task in recipe.evaluate.tasks if task.path is not None]


def _items_file(context: Context, task: TaskSettings) -> Path:
    if task.path is not None:
        return Path(task.path)
    return context.inputs[f"generate-{task.generate}-{task.count}"] / f"{task.generate}.jsonl"


def _mean_accuracy(rows: list[dict[str, Any]], form: str) -> float:
    """Mean over families and languages."""
    accuracies = [row["accuracy"] for row in rows if row["form"] == form]
    return sum(accuracies) / len(accuracies)


def export_stage(
    recipe: Recipe, name: str, tokenizer: Stage, model: Stage | None, rendered: Stage | None, external: dict[str, Any]
) -> Stage:
    """A Hugging Face folder: weights, configuration, tokenizer, chat template and generation settings."""
    inputs = {"tokenizer": tokenizer}
    inputs |= {"model": model} if model else {}
    inputs |= {"rendered": rendered} if rendered else {}
    body = partial(_export, recipe=recipe)
    settings = {"dtype": recipe.export.dtype}
    return Stage(f"export-{name}", EXPORT_VERSION, settings, body, inputs, external, needs_torch=True)


def _export(context: Context, recipe: Recipe) -> dict[str, Any]:
    from tilth.model import export_model
    from tilth.tokens.tokenizer import TEMPLATE, Tokenizer
    from tilth.training import load_model

    tokenizer = Tokenizer.load(context.inputs["tokenizer"])
    model = load_model(model_folder(context, recipe))
    chat = open_chat(context, tokenizer)
    eos = tokenizer.eos if chat is None else list(chat.stop)
    bos, pad = tokenizer.bos, tokenizer.pad
    export_model(model, context.out, dtype=recipe.export.dtype, bos=bos, eos=eos, pad=pad)
    if chat is None and recipe.base is None:
        tokenizer.config[TEMPLATE] = None  # the tokens of a template stand ready, but nothing was learnt of them
    tokenizer.save(context.out, chat.template if chat else None)
    difference = _check_export(context.out, model, tokenizer)
    return {"parameters": model.config.parameter_count, "largest_logit_difference": difference}


def _check_export(folder: Path, model: Decoder, tokenizer: Tokenizer) -> float:
    """Read the folder back: the same tokens, and logits as the engine's that serves it; the largest difference.

    UserError where the engine, on the exported weights, would say something else than the model.
    """
    import torch

    from tilth.model import Boundaries, generate, import_model
    from tilth.tokens.quality import HOSTILE
    from tilth.tokens.tokenizer import Tokenizer as Read

    again, coder = import_model(folder), Read.load(folder)
    head = [] if tokenizer.bos is None else [tokenizer.bos]
    prompts = [head + tokenizer.encode(text)[:64] for text in ("Hello, 你好。", *HOSTILE[:3])]
    for text in HOSTILE:
        if coder.encode(text) != tokenizer.encode(text):
            raise UserError("the exported tokenizer gives other tokens", where=str(folder), hint="please report this")
    largest = 0.0
    with torch.no_grad():
        for prompt in (p for p in prompts if p):
            tokens, positions = torch.tensor(prompt), torch.arange(len(prompt))
            boundaries = Boundaries(torch.tensor([0, len(prompt)], dtype=torch.int32), 1)
            one, two = (m.logits(m(tokens, positions, boundaries)).float() for m in (model, again))
            largest = max(largest, float((one - two).abs().max()))
            said = generate(again, [prompt], max_new=1)[0]
            best = float(two[-1].max() - two[-1, said.tokens[0]])
            if best > 1e-3:
                raise UserError(f"the engine's token is {best:.3g} below the best", where=str(folder))
    return largest
