"""WordHeads: the heads that were fitted, and which one proposes words in a project: none until it is switched on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import insert, reading, word_head, writing
from mammo.errors import InsufficientData, ModelNotFound
from mammo.words.head import WordHead


@dataclass(frozen=True, kw_only=True)
class KeptHead:
    """A head as it is kept."""

    name: str
    """SHA-256 of its JSON, hexadecimal."""

    project: int
    dataset: str
    """Name of the dataset version that it was fitted and measured on."""

    content: dict[str, Any]
    """`training.words.fitting.fit_words`."""

    fitted_at: datetime
    on_since: datetime | None
    """Since when it proposes words; None: it does not."""

    on_by: str | None

    @property
    def proposes(self) -> list[str]:
        """The words that the rule lets it propose."""
        return [
            row["word"]
            for each in self.content["descriptors"].values()
            for row in each["words"]
            if row["proposed"]
        ]

    @property
    def sentences(self) -> list[str]:
        """What the rule says of each word, and of each descriptor that could not be fitted."""
        return [
            sentence
            for each in self.content["descriptors"].values()
            for sentence in (each["sentence"], *(row["sentence"] for row in each["words"]))
            if sentence
        ]


@dataclass(frozen=True, kw_only=True)
class WordState:
    """Whether the model proposes words in a project."""

    project: int
    proposes: tuple[str, ...] = ()
    """Words of the head that is on."""

    on_since: datetime | None = None
    """None: none is on."""

    on_by: str | None = None
    measured_at: datetime | None = None
    """When a head was fitted last; None: never."""

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        if self.on_since is not None:
            return (
                f"The model proposes {', '.join(self.proposes)} since {self.on_since:%Y-%m-%d}, switched on by "
                f"{self.on_by}."
            )
        if self.measured_at is not None:
            return (
                f"The model proposes none. What it could propose was measured on {self.measured_at:%Y-%m-%d}: "
                f"`yolo-mlsam words show --project {self.project}`."
            )
        return (
            "The model proposes none, and it was not measured whether it could: "
            f"`yolo-mlsam words fit --project {self.project}`."
        )


class WordHeads:
    """Keeps heads; safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, content: dict[str, Any]) -> KeptHead:
        """Keep a fitted head, as the newest of its project. Which head proposes does not change."""
        encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        row = {
            "name": hashlib.sha256(encoded).hexdigest(),
            "project": content["project"],
            "dataset": content["dataset"],
            "content": encoded,
            "fitted_at": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            statement = insert(connection, word_head).values(row)
            again = {"fitted_at": row["fitted_at"]}
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=again))
        return self._require_newest(content["project"])

    def newest(self, project: int) -> KeptHead | None:
        """Return the head of a project that was fitted last; None before the first."""
        return self._one(sa.select(word_head).where(word_head.c.project == project))

    def on(self, project: int) -> KeptHead | None:
        """Return the head that proposes words in a project; None: none does."""
        columns = word_head.c
        return self._one(
            sa.select(word_head).where(columns.project == project, columns.on_since.is_not(None))
        )

    def states(self) -> dict[int, WordState]:
        """Return whether words are proposed, by project, of those for which a head was fitted."""
        columns = word_head.c
        measured = sa.select(columns.project, sa.func.max(columns.fitted_at)).group_by(columns.project)
        with reading(self._engine) as connection:
            states = {
                project: WordState(project=project, measured_at=at)
                for project, at in connection.execute(measured)
            }
            rows = connection.execute(sa.select(word_head).where(columns.on_since.is_not(None))).all()
        for head in map(_kept, rows):
            states[head.project] = replace(
                states[head.project],
                proposes=tuple(head.proposes),
                on_since=head.on_since,
                on_by=head.on_by,
            )
        return states

    def serving(self, project: int) -> WordHead | None:
        """Return the head that proposes words in a project, ready for use; None: none does.

        Raises:
            InvalidWeights: it is damaged, or of another release.
            StorageUnavailable: the database does not answer.
        """
        columns = word_head.c
        statement = sa.select(columns.name, columns.content).where(
            columns.project == project, columns.on_since.is_not(None)
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else WordHead.read(row.content, name=row.name)

    def turn_on(self, project: int, *, reason: str, actor: str) -> KeptHead:
        """Let the newest head of a project propose its words, in place of an earlier one; audited.

        Raises:
            ModelNotFound: none was fitted (code `no_word_head`).
            InsufficientData: the rule lets it propose no word (code `words_not_measured`); the message says why.
            InvalidWeights: it is damaged, or of another release.
        """
        head = self._require_newest(project)
        words = head.proposes
        if not words:
            raise InsufficientData(
                f"the head of project {project} may propose no word yet: {'; '.join(head.sentences)}",
                code="words_not_measured",
            )
        with writing(self._engine) as connection:
            columns = word_head.c
            content = sa.select(columns.content).where(columns.name == head.name)
            WordHead.read(connection.execute(content).scalar_one(), name=head.name)
            connection.execute(
                sa.update(word_head).where(columns.project == project).values(on_since=None, on_by=None)
            )
            connection.execute(
                sa.update(word_head)
                .where(columns.name == head.name)
                .values(on_since=datetime.now(UTC), on_by=actor)
            )
            append(
                connection,
                actor=actor,
                action="words switched on",
                subject=f"project {project}",
                reason=f"head {head.name[:12]} proposes {', '.join(words)}: {reason}",
            )
        return self._require_newest(project)

    def turn_off(self, project: int, *, reason: str, actor: str) -> str:
        """Let no head propose words in a project; returns the name of the one that did. Audited.

        Raises:
            ModelNotFound: none does (code `words_off`).
        """
        columns = word_head.c
        is_on = (columns.project == project, columns.on_since.is_not(None))
        with writing(self._engine) as connection:
            off = sa.update(word_head).where(*is_on).values(on_since=None, on_by=None)
            name: str | None = connection.scalar(off.returning(columns.name))
            if name is not None:
                append(
                    connection,
                    actor=actor,
                    action="words switched off",
                    subject=f"project {project}",
                    reason=f"head {name[:12]}: {reason}",
                )
        if name is None:
            raise ModelNotFound(f"the model proposes no words in project {project}", code="words_off")
        return name

    def _require_newest(self, project: int) -> KeptHead:
        head = self.newest(project)
        if head is None:
            raise ModelNotFound(
                f"no head was fitted for project {project}; `yolo-mlsam words fit --project {project}` does it",
                code="no_word_head",
            )
        return head

    def _one(self, statement: sa.Select[Any]) -> KeptHead | None:
        with reading(self._engine) as connection:
            row = connection.execute(statement.order_by(word_head.c.fitted_at.desc()).limit(1)).one_or_none()
        return None if row is None else _kept(row)


def _kept(row: Any) -> KeptHead:
    return KeptHead(**{**row._mapping, "content": orjson.loads(row.content)})
