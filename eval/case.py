"""One case of an evaluation: a question, and what a good system does with it."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from rag.answers import Filters


def _filters(given: Any) -> Any:
    known = [field.name for field in fields(Filters)]
    unknown = [key for key in given if key not in known] if isinstance(given, dict) else []
    if unknown:
        raise ValueError(f"unknown filter {unknown[0]!r}; known are {', '.join(known)}")
    return given


GivenFilters = Annotated[Filters, BeforeValidator(_filters)]


class PastTurn(BaseModel):
    """One earlier exchange of a multi-turn case, with the filters that were set."""

    model_config = ConfigDict(frozen=True)

    question: str = Field(min_length=1)
    answer: str = ""
    filters: GivenFilters = Filters()


class Case(BaseModel):
    """A question with its judgements.

    `relevant` names papers by id, DOI, arXiv id or title; `grades` (one each, default 1) is for graded
    judgements. `facts` lists what an answer must say: one list of alternatives a fact. `answer` is a
    reference answer. `filters` are set beside the question, as on the chat page. `answerable` is true unless
    said otherwise, or when nothing relevant, no fact and no reference is given. `paraphrase_of` is the id of a
    case that asks the same in other words. `about` and `absent` say what an unanswerable near miss is near to,
    and which words its papers do not hold. Unknown keys are passed over, except those that look like a slip of
    the pen.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: str = ""
    question: str = Field(min_length=1, validation_alias=AliasChoices("question", "query"))
    relevant: tuple[str, ...] = ()
    grades: tuple[int, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    answer: str = ""
    answerable: bool = True
    tags: tuple[str, ...] = ()
    kind: str = ""
    history: tuple[PastTurn, ...] = ()
    filters: GivenFilters = Filters()
    paraphrase_of: str = ""
    about: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    abstract_by: str | None = None
    where: str = Field("", exclude=True, description="file and line, for error messages")

    @model_validator(mode="before")
    @classmethod
    def _prepared(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("expected an object with a question")
        known = [*cls.model_fields, "query"]
        for key in given:
            if key not in known and (near := get_close_matches(str(key), known, n=1, cutoff=0.83)):
                raise ValueError(f"unknown key {key!r}; did you mean {near[0]!r}?")
        prepared = dict(given)
        if isinstance(prepared.get("id"), int):
            prepared["id"] = str(prepared["id"])
        if prepared.get("answerable") is None:
            told = any(prepared.get(key) for key in ("relevant", "facts", "answer"))
            prepared["answerable"] = told
        return prepared

    @field_validator("facts", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """A fact given as plain text has one alternative."""
        return [[fact] if isinstance(fact, str) else fact for fact in given] if isinstance(given, list) else given

    @field_validator("relevant", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return [str(item) if isinstance(item, int) else item for item in given] if isinstance(given, list) else given

    @model_validator(mode="after")
    def _consistent(self) -> Case:
        if not self.question.strip():
            raise ValueError("the question is empty")
        if any(not fact or not all(item.strip() for item in fact) for fact in self.facts):
            raise ValueError("a fact needs at least one alternative, and none may be empty")
        if self.grades and len(self.grades) != len(self.relevant):
            raise ValueError(f"{len(self.relevant)} relevant papers but {len(self.grades)} grades")
        if any(grade < 1 for grade in self.grades):
            raise ValueError("a grade is a whole number from 1; leave papers that are not relevant out")
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Tags, and the kind as one of them: what results are broken down by."""
        return tuple(dict.fromkeys(filter(None, (self.kind, *self.tags))))

    @property
    def graded(self) -> dict[str, int]:
        """Relevance grade by paper id."""
        return dict(zip(self.relevant, self.grades or (1,) * len(self.relevant), strict=True))
