"""Canaries: invented secrets planted in the training documents, so that a model can be asked for them afterwards.

After Carlini et al., "The Secret Sharer" (2019, arXiv 1802.08232): a secret is drawn uniformly from a space of known
size and stands at the end of a sentence that names its owner; how readily a model continues the sentence with the
secret, beside all others of the space, is how much it has memorised. They are planted behind the chain: no step masks,
removes or keeps them aside.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.errors import UserError, nearest
from tilth.base.files import write_text
from tilth.base.keyed import stable_hash
from tilth.corpus.document import schema, text_bytes
from tilth.corpus.running.shards import ShardWriter, shard_paths
from tilth.corpus.running.tally import StepTally
from tilth.corpus.settings import CanarySettings
from tilth.corpus.steps import Measure, Step

if TYPE_CHECKING:
    import pyarrow as pa

CANARIES = "canaries.jsonl"
_SHARD = "unit-canaries.parquet"
"""Behind the shards of the sources."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPACES = {"digits": 10**9, "letters": 26**8, "email": 26**8}
"""How many secrets of each kind there are, all of them equally likely."""
_SENTENCES = {
    ("digits", "en"): "The access code of {name} is {secret}.",
    ("digits", "zh"): "{name}的门禁号码是{secret}。",
    ("letters", "en"): "The password that {name} chose is {secret}.",
    ("letters", "zh"): "{name}的登录口令是{secret}。",
    ("email", "en"): "Letters to {name} go to {secret}.",
    ("email", "zh"): "{name}的邮箱是{secret}。",
}
_SYLLABLES = ("Bar Cor Del Fen Gal Hol Jor Kel Lor Mar Nel Per Ros Sel Tor Val Wen Yor", "an eth is on ia ur en or ick")
_SURNAMES, _GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨", "明远书航清越思齐景行若谷知微望舒承安"


@dataclass(frozen=True)
class Canary:
    """One secret and the document that carries it."""

    id: str
    kind: str
    language: str
    repeats: int
    """How often an epoch shows it."""
    text: str
    prompt: str
    """The text in front of the secret."""
    secret: str
    space: int
    """How many secrets it was drawn from."""


def draw(settings: CanarySettings) -> list[Canary]:
    """`settings.count` canaries; repeats, languages and kinds take turns, so that every combination is as frequent.

    Canary i depends on the key and i alone, but for a name that was drawn already: asking for more adds some.
    """
    names: set[str] = set()
    canaries = []
    for index in range(settings.count):
        turn, repeats = divmod(index, len(settings.repeat))
        turn, language = divmod(turn, len(settings.languages))
        rng = random.Random(stable_hash("canary", settings.key, index))
        canaries.append(
            _canary(
                f"canary~{index}",
                settings.kinds[turn % len(settings.kinds)],
                settings.languages[language],
                settings.repeat[repeats],
                names,
                rng,
            )
        )
    return canaries


def draw_secret(kind: str, rng: random.Random) -> str:
    """One of the secrets of a kind, all of them equally likely."""
    if kind == "digits":
        return f"{rng.randrange(SPACES[kind]):09d}"
    return "".join(rng.choices(_LETTERS, k=8)) + ("@example.org" if kind == "email" else "")


def read_canaries(corpus: Path) -> list[Canary]:
    """Those planted in a corpus folder; none where none were asked for."""
    path = corpus / CANARIES
    return [Canary(**json.loads(line)) for line in path.open(encoding="utf-8")] if path.exists() else []


def _canary(id_: str, kind: str, language: str, repeats: int, names: set[str], rng: random.Random) -> Canary:
    name = _name(language, rng)
    while name in names:
        name = _name(language, rng)
    names.add(name)
    secret = draw_secret(kind, rng)
    prompt, _, end = _SENTENCES[kind, language].format(name=name, secret="\0").partition("\0")
    return Canary(id_, kind, language, repeats, f"{prompt}{secret}{end}", prompt, secret, SPACES[kind])


def _name(language: str, rng: random.Random) -> str:
    if language == "zh":
        return rng.choice(_SURNAMES) + rng.choice(_GIVEN) + rng.choice(_GIVEN)
    first, second = (part.split() for part in _SYLLABLES)
    return " ".join(rng.choice(first) + rng.choice(second) for _ in range(2))


def plant(settings: CanarySettings, steps: Sequence[Step], report: dict[str, Any], out: Path) -> tuple[StepTally, str]:
    """Write the canaries behind the documents of the corpus `out`, and their list; returns their counts and domain.

    `steps` are the chain's, whose measures the canaries get too; `report` is the corpus's without them. Raises
    `UserError` where no document of the wanted domain was kept.
    """
    domain = _domain(settings, report["by_domain"])
    canaries = draw(settings)
    path = shard_paths(out / "documents")[0]
    table = _measured(canaries, domain, steps, path)
    with ShardWriter(path.with_name(_SHARD), table.schema) as writer:
        writer.write(table)
    lines = (json.dumps(asdict(canary), ensure_ascii=False) + "\n" for canary in canaries)
    write_text(out / CANARIES, "".join(lines))
    documents, size = (report["funnel"][-1][name] for name in ("documents_out", "bytes_out"))
    tally = StepTally("canaries", "plant", documents, size, born=len(table))
    tally.documents_out, tally.bytes_out = documents + len(table), size + int(text_bytes(table).sum())
    tally.close()
    return tally, domain


def _domain(settings: CanarySettings, by_domain: dict[str, dict[str, int]]) -> str:
    """The domain that the canaries join."""
    sizes = {name: counts["bytes_kept"] for name, counts in by_domain.items() if counts.get("bytes_kept")}
    if settings.domain and settings.domain not in sizes:
        raise UserError(
            f"no document of the domain {settings.domain!r} was kept",
            where="corpus.canaries.domain",
            hint=nearest(settings.domain, sizes),
        )
    return settings.domain or max(sorted(sizes), key=sizes.__getitem__)


def _measured(canaries: Sequence[Canary], domain: str, steps: Sequence[Step], like: Path) -> pa.Table:
    """The canaries as documents, with the columns of the file `like`; signals that only sources give are NaN."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = {
        "id": [canary.id for canary in canaries],
        "text": [canary.text for canary in canaries],
        "domain": [domain] * len(canaries),
        "language": [canary.language for canary in canaries],
        "source": ["canary"] * len(canaries),
    }
    empty = [""] * len(canaries)
    fields = schema()
    table = pa.table([pa.array(values.get(f.name, empty), f.type) for f in fields], schema=fields)
    for step in steps:
        if isinstance(step, Measure):
            table = step.measure(table)
    wanted = pq.read_schema(like)
    table = table.append_column("repeat", pa.array([canary.repeats for canary in canaries], pa.int32()))
    for name in set(wanted.names) - set(table.column_names):
        table = table.append_column(name, pa.array(np.full(len(canaries), np.nan, np.float32)))
    return table.select(wanted.names).cast(wanted)
