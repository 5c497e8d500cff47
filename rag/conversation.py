"""Follow-up questions made whole from the conversation before them: by rules, or by one call of a model."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rag import text
from rag.answerers.prompting import plain, supported_text
from rag.answers import Filters, Turn
from rag.connection import Stop
from rag.errors import ModelError
from rag.llm import Message, Reply
from rag.orders import gives_orders
from rag.prompts import CONDENSE, load_prompt

if TYPE_CHECKING:
    from rag.llm import ChatModel
    from rag.papers import Paper

_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_DIGITS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th")
_ORDINALS = {word: place for words in (_WORDS, _DIGITS) for place, word in enumerate(words)} | {
    "last": -1,
    "latter": -1,
    "former": 0,
}
_THING = (
    r"(?:(?:one|paper|source|work|result|study|article|abstract)(?! (?:to|that|which)\b)"
    r"|of (?:them|these|those|the two))"
)
_ORDINAL = re.compile(
    rf"\bthe (?P<word>{'|'.join(_ORDINALS)})(?: {_THING}\b|(?=\s*[?.,;]|\s*$)"
    r"|(?=\s+(?:and|or|with|to the|than|do|does|did|use[sd]?|has|have|need|rely|is|was|require|report|say|mention"
    r"|posted|published|released|written|about)\b))",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"\[(?P<bare>\d)\]|\b(?:paper|source|number|reference|citation|no\.)\s*#?\[?(?P<word>\d)\]?(?![\d.])",
    re.IGNORECASE,
)
_MANY = re.compile(
    r"\b(?:which|any|some|all|both|each|one|none|most|the best) of (?:them|these|those|the (?:above|papers|results))\b"
    r"|\b(?:these|those|both|the above|the cited|the listed) (?:papers?|works?|methods?|approaches|studies"
    r"|models?|results?"
    r"|ones|articles|sources)\b|\b(?:compare|contrast|rank|list) (?:them|these|those|both)\b|\bwhich ones?\b"
    r"|\bthey\b|\bthem\b"
    r"|\btheir\b",
    re.IGNORECASE,
)
_ONE = re.compile(
    r"\b(?:this|that|the|the said|the same) (?:paper|method|work|approach|model|study|article|technique"
    r"|system|algorithm"
    r"|framework|dataset|benchmark)\b|\bthe authors\b|\bits\b|\bit\b",
    re.IGNORECASE,
)
_ONE_OR_THEY = re.compile(rf"{_ONE.pattern}|\bthey\b|\bthem\b|\btheir\b", re.IGNORECASE)
_NOT_A_REFERENCE = re.compile(
    r"\bis it (?:possible|true|known|common|ever|always|necessary|better|worth|safe|hard|easy|enough|useful"
    r"|sufficient)\b"
    r"|\b(?:does|would|will) it (?:matter|make sense|help to|pay)\b|\bhow (?:hard|easy) is it\b"
    r"|\bthe same (?:time|way)\b"
    r"|\bwhat is it (?:that|about)\b",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(
    r"^(?:and|but|or|so|then|also|ok|okay)\b[\s,]*|^(?:what|how) about\b|^(?:on|for|with|in|at|using|without"
    r"|under|to|against|than|from) ",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"^(?:why|how|how so|how come|really|explain(?: (?:it|that|this))?(?: (?:more|further|please))?"
    r"|tell me more(?: about (?:it|that|this))?"
    r"|more(?: details?)?(?: please)?|go on|continue|elaborate|in what way|what else|meaning|for example"
    r"|such as|details?)\W*$",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"^(?:(?:are|is) there |any |what |which |some |show |give me |find )*(?:any |some )?(?:others?"
    r"|other (?:papers?|works?|ones|methods?|approaches|studies)"
    r"|more (?:papers?|works?|of (?:these|those|them)|like (?:this|these|that|it))|else|similar (?:papers?"
    r"|works?|ones))\b"
    r"(?: (?:on|about|like) (?:this|that|it|these))?\W*$",
    re.IGNORECASE,
)
_LONGEST = 500
_ADDRESS = re.compile(r"://|www\.|\S@\S|[<>\[\]|]")
_TURNS, _TOLD = 3, 500
_FROM_CONVERSATION = 0.7  # share of a rewritten question's content stems that were said before


@dataclass(frozen=True, slots=True)
class Condensed:
    """A question that can be searched on its own, and the filters, with what the conversation adds to them.

    `usage` counts the tokens that a model took for it, `prompt` is the version of what it was told.
    """

    question: str
    filters: Filters
    usage: dict[str, int] = field(default_factory=dict[str, int])
    prompt: str | None = None


Condenser = Callable[[str, Filters, Sequence[Turn], Stop | None], Condensed]
"""Makes a question whole; a model's call is made under the switch of the answer."""


def by_rules(question: str, filters: Filters, history: Sequence[Turn], _: Stop | None = None) -> Condensed:
    """Resolve ordinals, pronouns and half questions from the last turn; anything else stays as it is.

    "The second", "these" and "it" narrow the search to the papers of the last answer; "and on graphs?" is searched
    together with the last question; "any others?" leaves the papers already shown out.
    """
    if not history:
        return Condensed(question, filters)
    last = history[-1]
    shown = [source.paper for source in last.answer.sources]
    before = last.answer.searched or last.question
    chosen = _pointed_at(question, shown)
    if chosen:
        return Condensed(_named(question, shown), _only(filters, chosen))
    if _OTHERS.match(question):
        return Condensed(before, replace(filters, exclude=(*filters.exclude, *(paper.id for paper in shown))))
    if _MORE.match(question):
        return Condensed(_joined(before, ""), filters if last.answer.abstained else _only(filters, shown))
    return _referring(question, filters, before, [] if last.answer.abstained else shown)


def about(question: str, paper: Paper) -> str:
    """The question with the paper's name where a pronoun can only mean it, because no other was chosen to be asked."""
    if _NOT_A_REFERENCE.search(question) or _self_contained(question, _ONE_OR_THEY):
        return question
    return _ONE_OR_THEY.sub(lambda match: _in_place_of(match.group(), paper), question, count=1)


def by_model(model: ChatModel) -> Condenser:
    """A condenser that lets `model` rewrite the question, once; by rules where it fails, babbles or adds its own words
    (the rewritten question is searched and shown: what nobody said must not get in that way)."""

    def condense(question: str, filters: Filters, history: Sequence[Turn], stop: Stop | None = None) -> Condensed:
        ruled = by_rules(question, filters, history)
        if not history:
            return ruled
        reply = Reply()
        try:
            said = model.complete(condense_messages(question, history), reply, stop)
        except ModelError:
            return ruled
        rewritten = " ".join(said.split()).strip('"“” ')
        kept = rewritten if _is_rewriting(rewritten, question, history) else ruled.question
        return replace(ruled, question=kept, usage=reply.usage, prompt=CONDENSE)

    return condense


def _is_rewriting(rewritten: str, question: str, history: Sequence[Turn]) -> bool:
    """Whether a text is a question made of what was said before, and neither an order nor an address."""
    if not 0 < len(rewritten) <= _LONGEST or _ADDRESS.search(rewritten):
        return False
    if gives_orders(rewritten) and not gives_orders(question):
        return False
    stems = set(text.stems(rewritten))
    said = set(text.stems(" ".join([question, *_told(history)])))
    return len(stems & said) >= _FROM_CONVERSATION * len(stems)


def _told(history: Sequence[Turn]) -> list[str]:
    """What a model is told of the last turns: each as one text of three lines."""
    return [
        f"User: {plain(turn.question)}\nAnswer: {text.shorten(plain(supported_text(turn.answer)), _TOLD)}\nPapers: "
        + "; ".join(f"({source.marker}) {plain(source.paper.title)}" for source in turn.answer.sources)
        for turn in history[-_TURNS:]
    ]


def _referring(question: str, filters: Filters, before: str, shown: Sequence[Paper]) -> Condensed:
    """A follow-up that leans on the last turn by a pronoun or by what it leaves out."""
    # "What about its accuracy?" leans by its pronoun, and what is left of it then is a question of its own.
    plural = _MANY.search(question) and (len(shown) > 1 or not _ONE_OR_THEY.search(question))
    if shown and plural and not _self_contained(question, _MANY):
        return Condensed(question, _only(filters, shown))
    meant = [paper for paper in shown if paper.id in filters.only] if len(filters.only) == 1 else shown
    one = _ONE_OR_THEY if len(meant) == 1 else _ONE
    if one.search(question) and not _NOT_A_REFERENCE.search(question) and not _self_contained(question, one):
        if not meant:
            return Condensed(question if shown else _joined(before, question), filters)
        told = (
            one.sub(lambda match: _in_place_of(match.group(), meant[0]), question, count=1)
            if len(meant) == 1
            else question
        )
        return Condensed(told, _only(filters, meant))
    if _ELLIPSIS.match(question) and len(text.content_words(question)) <= 5:
        return Condensed(_joined(before, _ELLIPSIS.sub("", question, count=1) or question), filters)
    return Condensed(question, filters)


def _pointed_at(question: str, shown: Sequence[Paper]) -> list[Paper]:
    """The papers that a question names by their place in the last answer."""
    places = [_ORDINALS[match["word"].lower()] for match in _ORDINAL.finditer(question)]
    places += [int(match["bare"] or match["word"]) - 1 for match in _NUMBERED.finditer(question)]
    found = [shown[place] for place in places if -1 <= place < len(shown) and shown]
    return list(dict.fromkeys(found))


def _named(question: str, shown: Sequence[Paper]) -> str:
    """The question with each such place replaced by the paper's title."""

    def by_ordinal(match: re.Match[str]) -> str:
        place = _ORDINALS[match["word"].lower()]
        return _called(shown[place]) if place < len(shown) else match.group()

    def by_number(match: re.Match[str]) -> str:
        place = int(match["bare"] or match["word"]) - 1
        return _called(shown[place]) if 0 <= place < len(shown) else match.group()

    return _NUMBERED.sub(by_number, _ORDINAL.sub(by_ordinal, question))


def _self_contained(question: str, reference: re.Pattern[str]) -> bool:
    """Whether the word that could refer back more likely refers to something in the question itself."""
    match = reference.search(question)
    if match is None:
        return True
    ahead = question[: match.start()]
    return len(text.content_words(ahead)) > 3 or ("," in ahead and len(text.content_words(ahead)) > 1)


def _in_place_of(word: str, paper: Paper) -> str:
    called = _called(paper)
    if word.lower() == "the authors":
        return f"the authors of {called}"
    return f"{called}’s" if word.lower() in {"its", "their"} else called


def _called(paper: Paper) -> str:
    head, colon, _ = paper.title.partition(":")
    return head if colon and len(head.split()) <= 4 else paper.title.rstrip("…")


def _only(filters: Filters, papers: Sequence[Paper]) -> Filters:
    """The filters, narrowed to some papers. A choice that was made already is not widened, unless it leaves too few
    for what was said: "these" are never one paper, and "the second" is the one that it names."""
    ids = tuple(paper.id for paper in papers)
    kept = tuple(key for key in ids if key in filters.only) if filters.only else ids
    return replace(filters, only=kept if len(kept) >= min(2, len(ids)) else ids)


def _joined(before: str, addition: str) -> str:
    return " ".join(f"{before.rstrip(' ?.!')} {addition.strip(' ?.!')}".split()) + "?"


def condense_messages(question: str, history: Sequence[Turn]) -> tuple[Message, Message]:
    """The messages that ask a model to rewrite a question: the last turns, fenced, and the question."""
    system, user = load_prompt(CONDENSE).filled(
        fence=f"conversation-{secrets.token_hex(6)}",
        history="\n".join(_told(history)),
        question=plain(question),
    )
    return Message("system", system), Message("user", user)
