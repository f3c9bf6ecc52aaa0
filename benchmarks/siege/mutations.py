"""Mutations of everything that comes from outside: none may end in a traceback, or cost much time or memory.

    python -m benchmarks.siege.mutations --count 100000 --kind dicom

Mutation N of a kind depends on the seed and on N alone. A stopped run goes on where it was; `--first N --count 1` makes
one mutation again.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from benchmarks.result import Result
from mammo.atomic_files import replacing
from mammo.errors import MammoError

COUNT = 100_000
WORK = Path("data/siege")
SAVE_EVERY = 500
MAX_SECONDS = 5.0
"""Of processor time, of this process and of its threads: a busy machine is slow, but not at fault."""

MAX_BYTES = 2**30
MAX_WALL_CLOCK = 120
"""Seconds after which a mutation hangs."""

READ = ("read", "decoded", "empty", "answered", "registered")
"""Outcomes of mutations that were accepted."""

KINDS = ("click", "webhook", "bundle", "rle", "dicom", "coco")


@dataclass
class Tally:
    """What came of the mutations of one kind."""

    kind: str
    seed: int
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    tracebacks: list[dict[str, Any]] = field(default_factory=list)
    slow: list[dict[str, Any]] = field(default_factory=list)
    """Mutations over `MAX_SECONDS`."""

    slowest: float = 0.0
    seconds: float = 0.0
    peak: int = 0
    """Largest memory of the process, in bytes, above what it had before the first mutation."""

    @classmethod
    def load(cls, path: Path, *, kind: str, seed: int) -> Tally:
        if not path.is_file():
            return cls(kind, seed)
        stored = json.loads(path.read_bytes())
        return cls(**{**stored, "outcomes": Counter(stored["outcomes"])})

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(vars(self), indent=1))

    def row(self) -> tuple[str, ...]:
        refused = self.done - sum(self.outcomes[name] for name in READ)
        return (
            self.kind,
            f"{self.done:,}",
            f"{refused / max(self.done, 1):.0%}",
            f"{len(self.tracebacks)}",
            f"{len(self.slow)}",
            f"{self.slowest:.2f} s",
            f"{self.peak / 2**20:.0f} MiB",
            ", ".join(f"{name} {count:,}" for name, count in self.outcomes.most_common(4)),
        )


def run(*, count: int = COUNT, seed: int = 0, work: Path = WORK, kinds: tuple[str, ...] = KINDS) -> Result:
    """Attack with mutations of each kind, each in a process of its own, and count what came of them.

    Args:
        count: mutations of each kind, those of earlier runs included.
        work: folder of what earlier runs have counted.
    """
    for kind in kinds:
        command = [sys.executable, "-m", "benchmarks.siege.mutations", "--kind", kind, "--count", str(count)]
        subprocess.run(
            [*command, "--seed", str(seed), "--work", str(work)], check=True, stdout=subprocess.DEVNULL
        )
    tallies = [Tally.load(_path(work, kind, seed), kind=kind, seed=seed) for kind in kinds]
    return Result(
        title="Mutated inputs",
        method=(
            f"Seed {seed}. A click, an event, a bundle, a brush stroke, DICOM files in all transfer syntaxes and a "
            "COCO file, each changed in its bytes or in the values of its JSON, read as the product reads them: events "
            "also by edit effort, trace and dataset versions. Tracebacks: of errors that are not the project's own. "
            f"Slow: over {MAX_SECONDS:g} s of processor time. Memory: above that before the first mutation; codecs "
            "have their own processes and limit."
        ),
        columns=("input", "mutations", "refused", "tracebacks", "slow", "slowest", "memory", "most frequent"),
        rows=[tally.row() for tally in tallies],
    )


def attack(
    tally: Tally, *, count: int, folder: Path, path: Path | None = None, first: int | None = None
) -> None:
    """Make and read mutations until `count` are done.

    Args:
        folder: for the files of the target.
        path: where the tally is saved now and then; None: nowhere.
        first: number of the first mutation, in place of that after the last.
    """
    from benchmarks.siege.mutation_targets import TARGETS  # imports the backend

    target = TARGETS[tally.kind](folder)
    before = _memory()
    numbers = range(tally.done, count) if first is None else range(first, first + count)
    for number in numbers:
        dice = random.Random(f"{tally.seed} {tally.kind} {number}")
        began = time.process_time()
        try:
            with _deadline(MAX_WALL_CLOCK):
                outcome = target.attack(dice)
        except MammoError as error:
            outcome = error.code
        except Exception as error:  # what this benchmark looks for
            outcome = f"traceback: {type(error).__name__}"
            lines = traceback.format_exc().splitlines()[-30:]
            tally.tracebacks.append({"mutation": number, "error": str(error)[:500], "traceback": lines})
        seconds = time.process_time() - began
        tally.outcomes[outcome] += 1
        tally.done += 1
        tally.seconds += seconds
        tally.slowest = max(tally.slowest, seconds)
        tally.peak = max(tally.peak, _memory() - before)
        if seconds > MAX_SECONDS:
            tally.slow.append({"mutation": number, "seconds": round(seconds, 2), "outcome": outcome})
        if path is not None and (tally.done % SAVE_EVERY == 0 or number == numbers[-1]):
            tally.save(path)
            print(
                f"{tally.kind}: {tally.done:,} of {count:,}, {len(tally.tracebacks)} tracebacks",
                file=sys.stderr,
            )


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in a block that hangs; in the main thread only."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _path(work: Path, kind: str, seed: int) -> Path:
    return work / f"mutations-{kind}-{seed}.json"


def main(
    kind: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(KINDS)}; default: all.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Mutations of each kind, earlier runs included.")] = COUNT,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
    work: Annotated[
        Path, typer.Option(help="Folder of what earlier runs have counted.", file_okay=False)
    ] = WORK,
    first: Annotated[
        int | None, typer.Option(help="Make mutations from this number on; save nothing.")
    ] = None,
) -> None:
    """Attack with mutations; one kind runs in this process."""
    kinds = tuple(kind or KINDS)
    if len(kinds) > 1:
        typer.echo(run(count=count, seed=seed, work=work, kinds=kinds).markdown())
        return
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr) if first is not None else _silent
    )
    path = _path(work, kinds[0], seed)
    tally = Tally(kinds[0], seed) if first is not None else Tally.load(path, kind=kinds[0], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        attack(tally, count=count, folder=Path(folder), path=None if first is not None else path, first=first)
    typer.echo(json.dumps(vars(tally) | {"outcomes": dict(tally.outcomes.most_common(30))}, indent=1))


def _silent(*_: object) -> Any:
    return structlog.ReturnLogger()


if __name__ == "__main__":
    typer.run(main)
