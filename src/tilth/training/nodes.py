"""Under an elastic torchrun (--nnodes=MIN:MAX --max-restarts=N) a node that has failed twice is left out.

torchrun's agent on a node counts the failures of its own processes and starts them again. When that has happened twice
a node's processes say so, once all are joined, and end their own agent by SIGTERM: so it goes without closing the
rendezvous. The others end as well, are started again by their agents, and go on from the last checkpoint without it.

A process whose neighbour died is not to blame: it waits for its agent, which starts it again when the neighbour's comes
back (and does not count that), and where it has to end by itself it is excused, in `checkpoints/nodes.jsonl`. Nor is
one whose watchdog ended it while it waited for another, or in a step in which several hung.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tilth.base.events import Journal, read_journal

MOST_FAILURES = 2
"""Of a node; after that it is left out."""
PATIENCE_SECONDS = 60.0
"""How long a process whose neighbour is gone waits to be started again by its agent."""
_COUNT = "TORCHELASTIC_RESTART_COUNT"
_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "remote process exited")
"""What gloo and NCCL say where the other end is gone; of this node's own network they say other things: no route, time
out, a device that fails."""


class NodesChanged(RuntimeError):
    """A node was left out, or is gone: whoever is left is to be started again."""


@dataclass(frozen=True)
class Node:
    """The node of this process."""

    name: str
    """The machine and torchrun's agent on it."""
    journal: Path

    @staticmethod
    def here(folder: Path) -> Node | None:
        """None where no elastic torchrun with several nodes has started this process; `folder` is the phase's."""
        if _COUNT not in os.environ or int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) == 0:
            return None
        return Node(f"{socket.gethostname()}:{os.getppid()}", folder / "checkpoints" / "nodes.jsonl")

    @property
    def failures(self) -> int:
        """Times that its processes failed by their own fault."""
        records = list(read_journal(self.journal))
        excused = sum(record.get("excused") == self.name for record in records)
        return int(os.environ[_COUNT]) - excused - len(_hung_for_others(records, self.name))

    def check(self, gathered: Callable[[Any], list[Any]], tell: Callable[[dict[str, Any]], None]) -> None:
        """Leave out whoever has failed too often; `gathered` gives everyone's value to all, and all must call this.

        Returns where nobody goes; else the processes of nodes that go never return, and the others raise NodesChanged.
        """
        known = dict(gathered((self.name, self.failures)))
        gone = sorted(name for name, failures in known.items() if failures >= MOST_FAILURES)
        if not gone or len(gone) == len(known):
            return
        if self.name in gone:
            self._leave()
        tell({"event": "left_out", "nodes": gone, "message": f"{', '.join(gone)} failed twice and is left out"})
        self._excuse()
        raise NodesChanged(f"{', '.join(gone)} failed twice and is left out")

    def _leave(self) -> NoReturn:
        sys.stderr.write(f"{self.name} has failed {self.failures} times: it leaves the run to the other nodes\n")
        if os.environ.get("LOCAL_RANK", "0") == "0":
            os.kill(os.getppid(), signal.SIGTERM)
        while True:
            time.sleep(1.0)

    def wait(self, error: BaseException) -> None:
        """Where `error` says that a neighbour is gone: until the agent ends this process; else return at once."""
        if not any(sign in str(error).lower() for sign in _LOST):
            return
        sys.stderr.write(f"another process is gone ({error}); waiting to be started again\n")
        time.sleep(PATIENCE_SECONDS)
        self._excuse()

    def note_hang(self, together: str, step: int, waiting: bool) -> None:
        """A process of the node is given up in `step`, in which it stood in a call to the others, or not.

        `together` names what started with it: a node's own count of its starts says nothing about another's.
        """
        record = {"hung": self.name, "start": int(os.environ[_COUNT]), "together": together}
        self._write(record | {"step": step, "waiting": waiting})

    def _excuse(self) -> None:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            self._write({"excused": self.name})

    def _write(self, record: dict[str, Any]) -> None:
        journal = Journal(self.journal)
        journal.append(record, durable=True)
        journal.close()


def _hung_for_others(records: list[dict[str, Any]], name: str) -> set[int]:
    """The starts of this node that ended by a hang of which it was not alone the cause.

    All processes that started together hang when one does, in one step or the next. Who waited in a collective call is
    not the cause; of several who did not (on a GPU nobody can be seen waiting for NCCL) none is known to be.
    """
    hung = [record for record in records if "hung" in record]
    causes: dict[str, set[str]] = {}
    for record in hung:
        if not record["waiting"]:
            causes.setdefault(record["together"], set()).add(record["hung"])
    mine = [record for record in hung if record["hung"] == name]
    return {record["start"] for record in mine if causes.get(record["together"]) != {name}}


def fresh_store() -> Any:
    """Where the processes that start together find each other: a part of the agents' store that is theirs alone.

    An agent keeps one store through all restarts, with the addresses that the dead have left in it. So rank 0 makes a
    name for this start, and every other one, who calls with a word of its own, is answered by that word and confirms.
    """
    from torch.distributed import PrefixStore, TCPStore

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    name, missing = secrets.token_hex(8), set(range(1, size) if rank == 0 else ())
    if rank:
        store.set(f"tilth/call/{rank}", name)
        name = store.get(f"tilth/answer/{name}").decode()
        store.set(f"tilth/heard/{name}/{rank}", "")
    while missing:
        for other in [other for other in missing if store.check([f"tilth/call/{other}"])]:
            store.set(f"tilth/answer/{store.get(f'tilth/call/{other}').decode()}", name)
        missing = {other for other in missing if not store.check([f"tilth/heard/{name}/{other}"])}
        time.sleep(0.02)
    return PrefixStore(f"tilth/{name}", store)
