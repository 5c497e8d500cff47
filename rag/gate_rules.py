"""What settles a question without the gate's model: a name or a kind of number that the papers found do not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag import text
from rag.answer_signs import holds
from rag.evidence import says_all, wants_whoever_says
from rag.limitations import asks_limits, tells_limits
from rag.papers import Paper
from rag.questions import Understanding

# "GPT-4", "LightGBM", "word2vec": names of one thing. Capitals alone ("LLM", "BLEU") have other ways of being said.
_COINED = re.compile(r"(?=.*[A-Za-z])(?:.*\d|.*[a-z].*[A-Z]|[A-Z]+[a-z].*[A-Z])")
_LETTERS_AND_NUMBER = re.compile(r"([a-z][a-z ]*?) ?(\d+)")
_TIME_ASKED = re.compile(
    r"\bhow\slong\s(?:did|does|do|was|were|is|has|have|must|it)\b.*\b(?:take[sn]?|took|train\w*|run\w*|last\w*|need\w*|require\w*)\b"
    r"|\bhow\smany\s(?:[\w-]+\s)?(?:seconds|minutes|hours|days|weeks|months)\b|\bhow\smuch\stime\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:\d|\b(?:an?|few|several|one|two|three|four|five|six|seven|eight|ten|twelve|hundreds|thousands))[\d.,]*[\s-](?:\w+[\s-])?"
    r"(?:milliseconds?|ms|seconds?|minutes?|hours?|days?|weeks?|months?|years?|epochs?|steps?|iterations?)\b"
    r"|\btimes\s(?:as\slong|longer|faster|quicker|slower)\b|\b(?:hours|days|weeks|minutes|seconds)\b",
    re.IGNORECASE,
)
_SPELLED_OUT = re.compile(
    r"\b[Ww]hat\s(?:does|do|is)\s(?:the\s(?:acronym|abbreviation|letters)\s)?(?P<name>(?=[\w-]*[A-Z][\w-]*[A-Z])[\w-]+)"
    r"\s(?:stands?\sfor|means?|short\sfor|an?\s(?:acronym|abbreviation)\s(?:for|of))\b",
)
# Not "how does it decide how many topics there are?": that is asked of a way, not of a number.
_COUNT_ASKED = re.compile(
    r"^\W*(?:(?:and|so|on|in|with|by|for|at|of|from|to)\s)?how\s(?:many|large|big)\b", re.IGNORECASE
)


def names_unsaid(understanding: Understanding, papers: Iterable[Paper]) -> tuple[str, ...]:
    """The coined names that a question asks about and that none of the papers says; any name, where papers that say it
    are what is wanted.

    >>> from rag.questions import understand
    >>> paper = Paper("1", "GPT-3", "It was tested on WMT 2014.")
    >>> names_unsaid(understand("How does GPT-4 do on WMT14, by BLEU?"), [paper])
    ('GPT-4',)
    """
    listed = wants_whoever_says(understanding)
    names = [name for name in understanding.names if listed or (_COINED.match(name) and " " not in name)]
    if not names:
        return ()
    bodies = [text.normalised_title(f"{paper.title} {paper.abstract}") for paper in papers]
    return tuple(name for name in names if not any(_says(body, text.normalised_title(name)) for body in bodies))


def names_one(question: str, understanding: Understanding, papers: Iterable[Paper]) -> bool:
    """Whether a question names one of the papers, or something that one of them says, in letters that are theirs.

    >>> from rag.questions import understand
    >>> paper = Paper("1", "BERT: Pre-training of Transformers", "It is deep.")
    >>> [names_one(one, understand(one), [paper]) for one in ("Was ist BERT?", "Was ist Tiefe?")]
    [True, False]
    """
    asked = f" {text.normalised_title(question)} "
    for paper in papers:
        titles = {text.normalised_title(part) for part in (paper.title, paper.title.partition(":")[0])}
        if not paper.untitled and any(f" {title} " in asked for title in titles if title):
            return True
        if any(says_all([name], f"{paper.title} {paper.abstract}") for name in understanding.names):
            return True
    return False


def lacks(question: str, paper: Paper) -> str | None:
    """What a paper does not do, where a question asks for a time, a number, a weakness or what letters stand for; None
    where it may do it."""
    if _TIME_ASKED.search(question):
        return None if _TIME.search(paper.abstract) else "gives no time for it"
    if _COUNT_ASKED.search(question) and not holds("number", paper.abstract):
        return "gives no number for it"
    if asks_limits(question) and not tells_limits(paper.abstract):
        return "tells no weakness of it"
    short = _SPELLED_OUT.search(question)
    if short and not _spells_out(short["name"], f"{paper.title}. {paper.abstract}"):
        return f"does not say what “{short['name']}” stands for"
    return None


def _spells_out(name: str, source: str) -> bool:
    """Whether a text explains a name in brackets, or has words in a row whose first letters it is made of; a word in
    capitals among them ("Wasserstein GAN") counts whole."""
    if re.search(rf"\(\s*{re.escape(name)}s?\b|\b{re.escape(name)}s?\s\(", source):
        return True
    letters = "".join(filter(str.isalpha, name)).lower().removesuffix("s")
    parts = [part for part in re.findall(r"[^\W\d_]+", source) if part.lower() != letters]
    return letters in "".join(part if part.isupper() else part[0] for part in parts).lower()


def _says(body: str, name: str) -> bool:
    if name.replace(" ", "") in body.replace(" ", ""):
        return True
    # A year may be cut: "WMT14" is "WMT 2014".
    parts = _LETTERS_AND_NUMBER.fullmatch(name)
    return parts is not None and re.search(rf"\b{parts[1]} ?(?:19|20){parts[2]}\b", body) is not None
