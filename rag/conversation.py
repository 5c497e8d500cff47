"""Follow-up questions made whole from the conversation before them, by rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rag import text
from rag.answers import Filters, Turn
from rag.connection import Stop
from rag.question_library import without_greeting
from rag.questions import exact_names

if TYPE_CHECKING:
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
    r"\b(?:which|any|some|all|both|each|one|none|most|the best) of"
    r" (?:them|these|those|the (?:above|papers|results|two|three))\b"
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
    r"\bis it (?:possible|true|known|common|ever|always|necessary|better (?:to|if|when|that)|worth|safe|hard|easy"
    r"|enough|useful|sufficient)\b"
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
_SIMILAR = re.compile(r"\bsimilar\b|\blike (?:this|that|it)\b", re.IGNORECASE)
_BY_THE_SAME = re.compile(
    r"^\W*(?:what|which)(?: other (?:papers?|works?))?(?: else)? (?:did|do|have|has)"
    r" (?:they|he|she|the(?: same)? authors?) (?:also )?(?:wr[io]te|written|publish(?:ed)?)\W*$"
    r"|^\W*(?:(?:are there |any |which |show |list )*other (?:papers?|works?)|anything else|what else)"
    r" (?:by|from|of) (?:them|him|her|(?:the|these|those)(?: same)? authors?)\W*$",
    re.IGNORECASE,
)
_SOME_OF_THEM = re.compile(
    r"\bhow many of (?:them|these|those)(?: papers)?\b|\b(?:how many|which) ones\b", re.IGNORECASE
)
# "How many layers?", "On which data?", "When?": half questions, which leave out what they are about.
_HALF = re.compile(
    r"^(?:(?:and|so|but)\s)?(?:how\s(?:many|much)(?:\s(?!papers?\b|works?\b|articles?\b)[\w-]+){1,2}|how\s(?:long|large|big|fast|well|accurate)"
    r"|(?:(?:on|in|with|for|at|by|under|against)\s)?(?:which|what)\s(?!papers?\b|works?\b|else\b)[\w-]+)\W*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:and|so|but)\s(?:on|in|with|for|at|by|under|against)\b", re.IGNORECASE)
_OF_RECORD = (
    (re.compile(r"^(?:(?:and|so)\s)?(?:when|in (?:which|what) year)\W*$", re.IGNORECASE), "When was it published?"),
    (re.compile(r"^(?:(?:and|so)\s)?(?:who|by whom)\W*$", re.IGNORECASE), "Who wrote it?"),
    (re.compile(r"^(?:(?:and|so)\s)?where\W*$", re.IGNORECASE), "Where was it published?"),
)
_OF_THEM = re.compile(
    r"\b(?:of (?:them|these|those|the (?:two|three|four))|both|(?:these|those) papers)\b", re.IGNORECASE
)
_BY_DATE = re.compile(
    r"\b(?:(?P<old>older|oldest|earlier|earliest|first)|newer|newest|later|latest|(?:more|most) recent)\b",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\b(?:compar\w+|versus|vs|differ\w*|better|worse|faster|slower|larger|smaller|more \w+|less \w+)\b.*"
    r"\b(?:to|with|than|from|and)\b",
    re.IGNORECASE,
)
_COMPARING = frozenset(
    text.stem(word)
    for word in "compare compared comparison versus vs differ different better worse faster slower than".split()
)
_COMING_OUT = frozenset("came come published posted appeared written paper papers one two three".split())
LOOKED_BACK = 3
"""Turns of a conversation that a question may lean on."""


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
    question = without_greeting(question)
    question = next((whole for half, whole in _OF_RECORD if half.match(question)), question)
    turn, meant = _subject(history)
    before = turn.answer.searched or turn.question
    listed = _last_list(history) if _ORDINAL.search(question) else _shown(history[-1])
    chosen = _pointed_at(question, listed)
    if chosen:
        return Condensed(_placed(question, listed, turn), _only(filters, chosen))
    shown = _shown(turn)
    if _BY_THE_SAME.match(question) and (names := {name: None for paper in shown for name in paper.authors}):
        others = replace(filters, authors=tuple(names), exclude=(*filters.exclude, *(paper.id for paper in shown)))
        return Condensed("Which papers are in this library?", others)
    if _OTHERS.match(question):
        others = replace(filters, exclude=(*filters.exclude, *(paper.id for paper in shown)))
        return Condensed(_of_others(question, before, shown), others)
    if _MORE.match(question):
        return Condensed(_joined(before, ""), filters if turn.answer.abstained else _only(filters, shown))
    if _OF_THEM.search(question) and len(meant) < 2:
        meant = _last_list(history)
    return _referring(question, filters, before, meant)


def _of_others(question: str, before: str, shown: Sequence[Paper]) -> str:
    """What is asked of other papers: the same, or, where only the one that was shown bears the name that was asked for
    or papers like it are wanted, its subject."""
    if len(shown) != 1:
        return before
    head, colon, tail = shown[0].title.partition(":")
    named = f" {text.normalised_title(head)} " in f" {text.normalised_title(before)} "
    if not named and not _SIMILAR.search(question):
        return before
    return f"Which papers are about {(tail if colon else head).strip()}?"


def _shown(turn: Turn) -> list[Paper]:
    return [source.paper for source in turn.answer.sources]


def _subject(history: Sequence[Turn]) -> tuple[Turn, list[Paper]]:
    """The last turn that was about something, and its papers. One that abstained was about the papers that it was
    narrowed to, if it was; one that was no question about papers is passed over."""
    for turn in reversed(history[-LOOKED_BACK:]):
        shown = _shown(turn)
        if turn.answer.abstained:
            shown = [paper for paper in shown if paper.id in turn.answer.filters.only]
        if turn.answer.sources:
            return turn, shown
    return history[-1], []


def _last_list(history: Sequence[Turn]) -> list[Paper]:
    """The papers that "the second" counts: those of the last answer that showed more than one, if there is one."""
    several = (shown for turn in reversed(history[-LOOKED_BACK:]) if len(shown := _shown(turn)) > 1)
    return next(several, _shown(history[-1]))


def _placed(question: str, listed: Sequence[Paper], turn: Turn) -> str:
    """The question with papers named in place of "the second"; "and the first?" asks what was asked of another."""
    left = text.content_words(_NUMBERED.sub(" ", _ORDINAL.sub(" ", _ELLIPSIS.sub(" ", question))))
    if left or not _ORDINAL.search(turn.question):
        return _named(question, listed)
    return _joined(_ORDINAL.sub(" ", turn.question), _named(question, listed))


def about(question: str, paper: Paper) -> str:
    """The question with the paper's name where a pronoun can only mean it, because no other was chosen to be asked."""
    if _NOT_A_REFERENCE.search(question) or _self_contained(question, _ONE_OR_THEY):
        return question
    return _ONE_OR_THEY.sub(lambda match: _in_place_of(match.group(), paper), question, count=1)


def _referring(question: str, filters: Filters, before: str, shown: Sequence[Paper]) -> Condensed:
    """A follow-up that leans on the last turn by a pronoun or by what it leaves out."""
    # "What about its accuracy?" leans by its pronoun, and what is left of it then is a question of its own.
    plural = _MANY.search(question) and (len(shown) > 1 or not _ONE_OR_THEY.search(question))
    if shown and plural and not _self_contained(question, _MANY):
        return Condensed(_SOME_OF_THEM.sub(_of_papers, _dated(question)), _only(filters, shown))
    if shown and _HALF.match(question):  # "and on which data?" goes on with the sentence before it
        return Condensed(_joined(before, question) if _GOES_ON.match(question) else question, _only(filters, shown))
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
        return Condensed(told, filters if _names_another(question, meant) else _only(filters, meant))
    if _ELLIPSIS.match(question) and len(text.content_words(question)) <= 5:
        return Condensed(_joined(before, _ELLIPSIS.sub("", question, count=1) or question), filters)
    return Condensed(question, filters)


def _of_papers(match: re.Match[str]) -> str:
    return "how many papers" if match.group().lower().startswith("how many") else "which papers"


def _dated(question: str) -> str:
    """ "Which of the two is older?" is a question about the records of both."""
    match = _BY_DATE.search(question)
    if match is None or not re.match(r"\W*(?:which|what)\b", question, re.IGNORECASE):
        return question
    rest = set(text.content_words(_MANY.sub(" ", _BY_DATE.sub(" ", question))))
    return f"Which is the {'oldest' if match['old'] else 'newest'} paper?" if rest <= _COMING_OUT else question


def _names_another(question: str, meant: Sequence[Paper]) -> bool:
    """Whether a question about some papers brings in something else by name, or compares them with it."""
    said = text.normalised_title(" ".join(f"{paper.title} {paper.abstract}" for paper in meant))
    if any(f" {text.normalised_title(name)} " not in f" {said} " for name in exact_names(question)):
        return True
    return bool(_COMPARES.search(question)) and not set(text.stems(question)) - _COMPARING <= set(text.stems(said))


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
