"""What a question asks for besides its topic: filters, metadata, exact names, one paper or several, kind of
answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rag import text
from rag.answers import Filters
from rag.question_comparisons import Comparison, comparison
from rag.question_filters import hear, only_filters
from rag.question_institutions import WORKS, Origin, institution, origin
from rag.question_library import LibraryIntent, count_in, library_intent, without_greeting
from rag.question_metadata import MetadataIntent, metadata_intent
from rag.question_unrecorded import unrecorded

Asked = Literal["number", "date", "person", "name", "reason", "yes-no", "definition", "open"]

# A question longer than this is a pasted text: only its beginning is searched for filters and names.
_WINDOW = 1000


_FULL_TEXT = re.compile(
    r"\b(?:table|figure|fig\.|section|chapter|equation|eq\.|theorem|lemma|appendix|page|footnote|listing)\s*#?"
    r"(?:\d|[A-H]\b)|\bfull[- ]text|\b(?:the|its|their|in|an) (?:appendix|appendices|supplement\w*|bibliography"
    r"|reference list|references|acknowledge?ments?|footnotes?)\b"
    r"|\b(?:conclusions?|introduction|method|results|discussion|related work) section\b",
    re.IGNORECASE,
)
_RARELY_TOLD = re.compile(
    r"\b(?:hyper-?parameters?|learning rates?|batch sizes?|random seeds?|optimi[sz]ers?|weight decay|warm-?up"
    r"|dropout|number of (?:epochs|layers|heads)|how many (?:epochs|layers|heads)|pseudo-?code|proofs?|derivations?"
    r"|prompt templates?|tables?|figures?|plots?|diagrams?|equations?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Understanding:
    """A question taken apart. `topic` is what to search for: the question without its filters, empty only if
    the question is. `heard` are the words that were taken for filters; `asked` is the kind of answer
    wanted; `library` is set for what is asked of the library as a whole, `order` where the newest or oldest papers on
    the topic are wanted, `comparison` where the records of two papers are compared, `origin` where papers of an
    institution are wanted, or from someone or something that only the library can tell. `language` is the one that the
    question is in where the search cannot read it."""

    topic: str
    filters: Filters = field(default_factory=Filters)
    metadata: MetadataIntent | None = None
    names: tuple[str, ...] = ()
    several: bool = False
    asked: Asked = "open"
    heard: tuple[str, ...] = ()
    library: LibraryIntent | None = None
    order: Literal["newest", "oldest"] | None = None
    comparison: Comparison | None = None
    origin: Origin | None = None
    language: str | None = None


def understand(question: str) -> Understanding:
    """Take a question apart by rules; any text is valid. Pure: knows neither library nor model.

    >>> found = understand("Which papers at ICLR since 2020 study grokking?")
    >>> found.topic, found.filters.year_from, found.filters.venues, found.several
    ('Which papers study grokking?', 2020, ('ICLR',), True)
    """
    plain = without_greeting(" ".join(question.split()))
    window = plain[:_WINDOW]
    metadata, compared = metadata_intent(plain), comparison(plain)
    of_records = metadata or compared
    # A title may hold anything, years and venues included; a question about a record has no filters.
    whose, window = (None, window) if of_records else _with_topic(institution, window)
    filters, heard, topic = (Filters(), (), window) if of_records else hear(window)
    library = None if of_records else _of_library(window)
    if not (of_records or library or whose):
        whose, topic = _with_topic(origin, topic)
    if library and library.declined:
        filters = Filters()
    order, topic = (None, topic) if of_records or library else _by_date(topic)
    if compared and not metadata:
        topic = " and ".join(compared.papers)
    return Understanding(
        topic=_without_manner(topic) + (" " if plain[_WINDOW - 1 : _WINDOW] == " " else "") + plain[_WINDOW:],
        filters=filters,
        metadata=metadata,
        names=exact_names(topic),
        several=order is not None or _asks_for_several(window),
        asked=kind_of_answer(window),
        heard=heard,
        library=library,
        order=order,
        comparison=compared,
        origin=whose,
    )


def _with_topic(hear_origin: Callable[[str], tuple[Origin | None, str]], topic: str) -> tuple[Origin | None, str]:
    """Where papers on a topic are to be from, and that topic; nothing where no topic is left."""
    whose, rest = hear_origin(topic)
    named = text.content_words(re.sub(rf"\b{WORKS}\b", " ", rest, flags=re.IGNORECASE))
    return (whose, rest) if named else (None, topic)


def _by_date(topic: str) -> tuple[Literal["newest", "oldest"] | None, str]:
    """Which papers on a topic are wanted by their date, and the topic without that."""
    match = _DATED.search(topic)
    if match is None:
        return None, topic
    rest = _WHEN_TOO.sub("", f"{topic[: match.start()]}{match['papers']}{topic[match.end() :]}")
    return ("oldest" if match["old"] else "newest"), rest


def _asks_for_several(question: str) -> bool:
    # Two sizes of one model ("BERT-base and BERT-large") are in one paper.
    either = _EITHER.search(question)
    if either and either["one"][:4].lower() != either["two"][:4].lower():
        return True
    pair = _PAIR.search(question)
    if pair and pair["one"][:4].lower() != pair["two"][:4].lower() and _is_identifier(pair["one"], shouting=False):
        return True
    return bool(
        _TWO_PAPERS.search(question)
        or counts_papers(question)
        or (_SEVERAL.search(question) and not _ONE_PAPER.search(question))
    )


def asks_for_papers(question: str) -> bool:
    """Whether papers are what a question wants listed, rather than what they say.

    >>> asks_for_papers("Which recent papers study pruning?"), asks_for_papers("Which methods prune?")
    (True, False)
    """
    return bool(_PAPERS_WANTED.search(question[:_WINDOW]))


def asks_of_full_text(question: str, *, unanswered: bool) -> bool:
    """Whether a question asks for what stands in a paper's full text: a numbered table, an appendix; when it is
    `unanswered`, also for what abstracts rarely tell, such as hyperparameters.

    >>> asks_of_full_text("What does Table 2 show?", unanswered=False)
    True
    >>> asks_of_full_text("Which learning rate is used?", unanswered=False)
    False
    """
    start = question[:_WINDOW]
    return bool(_FULL_TEXT.search(start) or (unanswered and _RARELY_TOLD.search(start)))


def _without_manner(topic: str) -> str:
    """The topic without HTML tags and without how the answer is to be told: no abstract says "in simple terms"."""
    plain = " ".join(_IMPERATIVE.sub("", _MANNER.sub(" ", _TAG.sub(" ", topic)).strip()).split())
    return plain if text.content_words(plain) else topic


def _of_library(question: str) -> LibraryIntent | None:
    if nowhere := unrecorded(question):
        return LibraryIntent(nowhere)
    rest = only_filters(question)
    return library_intent(question if rest is None else rest, filtered=rest is not None)


def kind_of_answer(question: str) -> Asked:
    """The kind of answer that a question wants, by its question words."""
    if counts_papers(question):  # none of their sentences has that number
        return "open"
    for kind, pattern in _ASKED:
        if pattern.search(question):
            return kind
    return "open"


def counts_papers(question: str) -> bool:
    """Whether a question asks how many papers there are on something."""
    return bool(_COUNTED.search(question))


def leaves_out(question: str) -> bool:
    """Whether a question asks for papers by what they do not do.

    >>> leaves_out("Which pruning papers do not need data?"), leaves_out("Which papers prune without data?")
    (True, False)
    """
    return bool(_NEGATED.search(question))


def asks_extreme(question: str) -> bool:
    """Whether a question asks which of all has the most of something.

    >>> asks_extreme("Which model has the most parameters?"), asks_extreme("Which model has most parameters frozen?")
    (True, False)
    """
    return bool(_EXTREME.search(question))


def papers_asked_for(question: str) -> int | None:
    """How many papers a question asks to be listed, where it says so.

    >>> papers_asked_for("Name three papers on pruning"), papers_asked_for("Which papers use 3 layers?")
    (3, None)
    """
    match = _SO_MANY.search(question)
    return count_in(match["number"]) if match else None


_QUOTED = re.compile(r"(?<!\w)[\"“«„‘']([^\"“”«»„‘’']{2,120})[\"”»’'](?!\w)")
_PLURAL_ACRONYM = re.compile(r"[A-Z]{2,}s")
_POSSESSIVE = re.compile(r"['’]s?$")
# Words with digits or inner capitals that name nothing: "3rd", "10x", "two-stage", "Top-down", "Q-learning"
# stays.
_ORDINARY = re.compile(r"\d+(?:st|nd|rd|th|x|k|m|b|d|s|%)?|[a-z]\d|\d+-[a-z]{4,}|[a-z]?[a-z]+(?:[-/’'][a-z]?[a-z]+)+")


def exact_names(question: str) -> tuple[str, ...]:
    """Identifiers in a question that must be found as written: quoted strings, then words with a capital
    past the first letter, letters and digits together, or capitals only.

    >>> exact_names("Does LDReg beat 'spectral norm' on GPT-4, CIFAR-10 and LLMs in 2021?")
    ('spectral norm', 'LDReg', 'GPT-4', 'CIFAR-10', 'LLM')
    """
    quoted = [match[1].strip() for match in _QUOTED.finditer(question)]
    capitals, letters = sum(map(str.isupper, question)), sum(map(str.isalpha, question))
    shouting = capitals > 0.6 * letters and " " in question.strip()
    bare = [_POSSESSIVE.sub("", word) for word in text.words(question)]
    found = [_singular(word) for word in bare if _is_identifier(word, shouting=shouting)]
    return tuple(dict.fromkeys([*(name for name in quoted if text.words(name)), *found]))


def _singular(word: str) -> str:
    return word[:-1] if _PLURAL_ACRONYM.fullmatch(word) else word


def _is_identifier(word: str, *, shouting: bool) -> bool:
    if not any(map(str.isalpha, word)):
        return False
    if any(map(str.isdigit, word)):
        return not _ORDINARY.fullmatch(word.lower())
    inner_capital = any(part[1:] != part[1:].lower() or len(part) == 1 for part in re.split(r"[-/’']", word))
    return len(word) > 1 and inner_capital and word != word.lower() and not shouting


_KINDS = (
    r"(?:papers|works|articles|studies|publications|abstracts|approaches|methods|techniques|models|systems|frameworks"
    r"|algorithms|strategies|solutions|architectures|datasets|benchmarks|surveys|ideas|ways|applications|proposals"
    r"|researchers)"
)
_COUNTED = re.compile(r"\bhow many (?:[\w-]+ ){0,2}(?:papers|works|articles|studies|publications)\b", re.IGNORECASE)
_SO_MANY = re.compile(
    r"^\W*(?:(?:please|can|could|you|list|name|give|show|find|recommend|suggest|me|us|the|top|best|what|which|are)\s)*"
    r"(?P<number>\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\s(?:[\w-]+\s){0,2}?"
    r"(?:papers|works|articles|studies|publications)\b",
    re.IGNORECASE,
)
_MOST = (
    r"the\s(?:most(?!\s(?:recent|important|relevant|common|interesting))|fewest|least|largest|biggest|smallest|highest|lowest"
    r"|best|worst|longest|shortest|fastest|slowest|deepest|greatest)\b"
)
# "What is the best BLEU of the Transformer?" is asked of one.
_EXTREME = re.compile(
    rf"^\W*(?:(?:which|what)\s(?!(?:is|are|was|were)\b).{{0,60}}?\b{_MOST}"
    rf"|what\s(?:is|are|was|were)\s{_MOST}(?!.*\b(?:of|by)\b))",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    rf"\b(?:which|what|list|find|show)\b.{{0,40}}?\b{_KINDS}\b.{{0,40}}?(?:\b(?:do|does|did|are|is|have)\s(?:not|never)\b"
    r"|\b(?:do|does|did|are|is|have)n['’]?t\b)"
    r"|\b(?:papers|works|articles|studies|publications)\b.{0,40}?(?:\b(?:do|does|did|are|is|have)\s(?:not|never)\b"
    r"|\b(?:do|does|did|are|is|have)n['’]?t\b)",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    rf"""\b(?:which|what)\s(?:\w+[\s-]){{0,3}}{_KINDS}\b
    |\b(?:compare|contrast|comparison|versus|vs\.?|differences?\sbetween)\b
    |\b(?:list|name|find|show|give|recommend|suggest)\b[^?.!]{{0,40}}\b{_KINDS}\b
    |\bany\s(?:[\w-]+\s){{0,2}}(?:papers|works|articles|studies|publications)\b
    |\bare\sthere\b|\bis\sthere\s(?:any\s)?(?:work|research)\b
    |\b(?:overview|survey|summari[sz]e|review)\sof\b
    |\bhow\sdo\s(?:\w+\s)?(?:{_KINDS}|people)\b
    |\bwhat\s(?:is|has\sbeen)\s(?:known|done)\b|\bwhat\s(?:work|research)\s(?:has|have|is)\b
    |\b(?:several|different|various|multiple|other)\s{_KINDS}\b
    |^(?:papers|works|articles|studies|publications|abstracts)\s(?:on|about|for|that|using|with|from|in)\b
    |\bstate\sof\sthe\sart\s(?:in|for|on)\b
    |\b(?:anything|something|everything|papers|articles|publications)\s(?:on|about)\b
    |^(?:which|what)\s(?:[\w-]+\s){1, 10}are\s(?:described|discussed|covered|presented)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PAPERS_WANTED = re.compile(
    r"""\b(?:which|what|any|all|list|find|show|recommend|suggest|need|want|many)\b(?:\s[\w-]+){0,4}?
        \s(?:papers|works|articles|studies|publications)\b
    |^\W*(?:[\w-]+\s){0,2}(?:papers|articles|studies|publications)\s(?:on|about|for|that|using|with|from|in)\b
    |\b(?:anything|something|everything)\s(?:on|about)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_IMPERATIVE = re.compile(r"^\W*(?:(?:can|could)\syou\s)?(?:summari[sz]e|outline|sketch)\s", re.IGNORECASE)
_TAG = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>|</?[a-z][^<>]*>", re.IGNORECASE)
_MANNER = re.compile(
    r"""[,;]?\s*\b(?:like\si['’]?\s?a?m\s(?:five|5|a\s\w+)|eli5|in\s(?:very\s)?(?:simple|plain|layman['’]?s?)\s(?:terms|words|english)
    |for\s(?:beginners|dummies|laymen|a\s(?:beginner|layman|child))|step\sby\sstep|in\s(?:one|two|a\sfew|short)\ssentences?
    |in\sa\snutshell|please)\b""",
    re.IGNORECASE | re.VERBOSE,
)
# "How do SPLADE and ColBERT represent …", "What do RAG, REALM and FiD reach …": two things by name as the subject.
_PAIR = re.compile(
    r"""\b(?:do|did|is|are|were|have|compare|of|about)\s(?:both\s)?(?:[\w-]+,\s)*(?P<one>[\w-]+),?\s(?:and|or|vs\.?|with)\s
    (?:(?:what\s)?about\s|what\s(?:is|are)\s)?(?P<two>(?-i:[A-Z]|[a-z]+\d)[\w-]*)""",
    re.IGNORECASE | re.VERBOSE,
)
# "Which has more parameters, GPT-3 or LLaMA?"
_EITHER = re.compile(
    r"^\W*(?:which|what|who|is|does|do|did|are)\b.*[,:]\s(?:the\s)?(?P<one>(?-i:[A-Z])[\w-]*|[a-z]+\d\w*)\sor\s(?:the\s)?"
    r"(?P<two>(?-i:[A-Z])[\w-]*|[a-z]+\d\w*)\W*$",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"\b(?:the\s)?(?:(?:newest|latest|most\srecent)|(?P<old>oldest|earliest))\s(?:\w+\s)?(?P<papers>(?:papers?|works?|articles?|stud(?:y|ies)"
    r"|publications?)\b)(?=\s(?:(?:here|in\sth(?:e|is)\slibrary)\s)?(?:on|about|that|which|for|using|dealing|in|of|with|by)\b)",
    re.IGNORECASE,
)
_WHEN_TOO = re.compile(r",?\sand\swhen\s(?:was|did|were)\s(?:it|they)\s[\w\s]{3,20}\W*$", re.IGNORECASE)
_TWO_PAPERS = re.compile(r"\bpapers?\sand\sthe\s(?:[\w-]+\s){1,4}paper\b|\bboth\s(?:papers|works|methods)\b", re.I)
_ONE_PAPER = re.compile(
    rf"""\b(?:in|by|of|from)\s(?:this|that|the)\s(?:paper|work|study|article)\b|\bthe\s(?:authors?|paper)\b
    |\b[Ww]hich\spaper\b
    |\b(?:[Ww]hich|[Ww]hat)\s(?:\w+[\s-]){{0,3}}{_KINDS}\s(?:does|did|do|is|was|are|were)\s(?:the\s)?
     [A-Z][\w-]*[A-Z0-9][\w-]*\b""",
    re.VERBOSE,
)
_QUANTITIES = (
    r"(?:percentages?|percent|numbers?|amount|size|scores?|accuracy|rate|ratio|factor|speed-?up|improvement|fraction"
    r"|proportion|share|count|cost|budget|gain|f1|bleu|fid|auc|perplexity|temperature|dimension(?:ality)?)"
)
_NAMED_KINDS = (
    r"(?:data\s?sets?|benchmarks?|languages?|tasks?|corpus|corpora|baselines?|metrics?|models?|domains?"
    r"|optimi[sz]ers?|architectures?|backbones?|libraries|library|frameworks?|simulators?|environments?|gpus?"
    r"|hardware|countries|cities|platforms?|games?)"
)
_KINDS_OF_ANSWER: tuple[tuple[Asked, str], ...] = (
    (
        "number",
        rf"""\bhow\s(?:many|much|large|big|long|often|fast|small|far|well|accurate|high|old|deep)\b|\bby\show\smuch\b
        |\b(?:what|which)\b[^?]{{0,40}}\b{_QUANTITIES}\b""",
    ),
    ("date", r"^\W*when\b|\b(?:what|which)\s(?:year|month|date|decade)\b"),
    (
        "person",
        r"^\W*who\b|\bwhose\b|\b(?:which|what)\s(?:authors?|institutions?|universit|compan|team|lab|group)",
    ),
    ("reason", r"^\W*why\b|\b(?:what|which)\s(?:reasons?|causes?|motivat)"),
    ("name", rf"\b(?:which|what)\s(?:\w+[\s-]){{0,4}}{_NAMED_KINDS}\b|\bon\s(?:which|what)\b"),
    (
        "definition",
        r"^\W*(?:what(?:\sis|'s|’s|\sare)\s(?!the\b)|define\b|what\sdoes\s\S+\s(?:mean|stand\sfor))",
    ),
    (
        "yes-no",
        r"^\W*(?:is|are|was|were|does|do|did|can|could|has|have|had|will|would|should)\b",
    ),
)
_ASKED: tuple[tuple[Asked, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.VERBOSE)) for kind, pattern in _KINDS_OF_ANSWER
)
