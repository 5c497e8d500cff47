"""Where the authors of wanted papers work, as a question says it: no record holds that, so it is set aside."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag import text

WORKS = r"(?:papers?|works?|articles?|publications?|research|preprints?|studies|abstracts?)"
PEOPLE = r"(?:authors?|people|researchers?|scientists?|groups?|teams?|labs?|professors?|students?)"
# Some that are often asked for by a name that does not say what it is; "X University" and the like need no list.
_KNOWN = r"""(?:
    (?:google|microsoft|facebook|meta|ibm|apple|amazon|nvidia|salesforce|adobe|intel|samsung|baidu|tencent|alibaba|huawei)
      (?:\s(?:ai|brain|research|deepmind|labs?))?
    | deepmind | openai | anthropic | fair | hugging\s?face | mila | inria | ai2 | max\splanck | allen\sinstitute
    | (?:mit|cmu|carnegie\smellon|stanford|berkeley|uc\s(?!irvine\smachine)\w+|harvard|princeton|yale|oxford|cambridge
        |eth(?:\sz[uü]rich)?|epfl|tsinghua|peking|nyu|caltech|toronto|montreal|edinburgh|tübingen)
      (?:\suniversity)?
    | china | japan | germany | france | india | canada | korea | israel | switzerland | europe | asia | africa
    | (?:the\s)?(?:us|usa|uk|united\s(?:states|kingdom))
)"""
_KIND = r"(?:universit(?:y|ies)|institute|college|laborator(?:y|ies)|academia|industry|compan(?:y|ies))"
ORGANISATION = rf"(?:{_KNOWN} | (?:[\w-]+\s){{0,3}} {_KIND} (?:\sof(?:\s[\w-]+){{1,3}})?)"
"""For a pattern that matches a whole question: any words may stand before "university"."""
_CAPITALS = r"(?-i:(?:[A-Z][\w.-]*\s){0,3})"
_NAMED = (
    rf"(?:{_KNOWN} | {_CAPITALS} {_KIND} (?:\s(?:of|for)(?-i:(?:\s(?:[A-Z][\w-]*|of|and)){{1,4}}))?"
    r" | (?-i:(?:[A-Z][\w.-]*\s){1,3}(?:Labs?|Research|AI|Inc)\b))"
)
# Names that are other words when written small.
_OTHER_WORDS = frozenset("meta apple amazon intel fair us".split())
_OF_WHOM = rf"(?:the\s)? (?:(?:{PEOPLE}|those)\s(?:from|at|of|in|working\sat)\s)? (?:the\s|an?\s)?"
_WHO = rf"(?:['’]s)? (?:\s{PEOPLE})?"
_GOES_ON = r"""(?=\W*$|\s?[,;]|\s(?:about|on|that|which|who|in|for|since|from|with|using|regarding|concerning|and
    |between|before|after|stud(?:y|ies)|proposes?|introduces?|uses?|discuss|describes?|deal|address|mention|have|has|do|does|did|are
    |is|were|was|published|written|working)\b)"""
_YEAR = r"(?:\s(?:in|from|since|of)\s(?:19|20)\d\d)?"
_DONE = (
    rf"{_YEAR}(?:\s(?:(?:that|which|come|comes|came|were|was|are|is|written|published|released|done|made|only)\s)*|\s)"
)
# "Papers on sentiment in reviews from Amazon", "on the model developed by DeepMind": that belongs to the topic.
_SOURCED = (
    r"(?<!\w[en]d)(?<!\wen)(?<!\wwn)(?<!learning)(?<!data)(?<!datasets)(?<!dataset)(?<!reviews)(?<!images)(?<!logs)"
    r"(?<!texts)(?<!text)(?<!posts)(?<!queries)(?<!models)(?<!model)(?<!features)(?<!results)(?<!\w\sand)"
)

# A pattern's group "cut" is what is set aside; white space in it means nothing, \s does.
_TABLE = (
    rf"\b{WORKS} (?P<cut>{_DONE} (?:from|by|at|out\sof)\s {_OF_WHOM} (?P<who>{_NAMED}) {_WHO}) {_GOES_ON}",
    rf"""(?P<cut>\s(?:(?:that|which)\s)?(?:with|have|has|having|by|from)\s(?:an?\s|the\s)? (?:co-?)?{PEOPLE}
         \s(?:from|at|of|affiliated\swith)\s(?:the\s)? (?P<who>{_NAMED})) {_GOES_ON}""",
    rf"\b{WORKS}\b [^?.!]{{3,100}}? {_SOURCED} (?P<cut>\s(?:from|by)\s {_OF_WHOM} (?P<who>{_NAMED}) {_WHO}) \W*$",
    rf"""\b(?P<cut>(?P<who>{_NAMED}) (?:['’]s?\s(?:(?:own|recent|new|newest|latest)\s)?(?={WORKS}\b)
         |\s(?=(?:papers?|publications?|preprints?|articles?) {_GOES_ON})))""",
    rf"\b(?:who|which\s{PEOPLE}) (?P<cut>\s(?:at|from)\s(?:the\s)?(?P<who>{_NAMED})) (?=\s\w)",
)
_RULES = tuple(re.compile(pattern, re.IGNORECASE | re.VERBOSE) for pattern in _TABLE)
_PUBLISHED = re.compile(
    rf"""^\W*(?:what\s)?(?:has|have|did|does|do|is)\s(?P<who>{_NAMED})\s(?:ever\s)?
         (?:publish(?:ed|ing)?|written|wr[io]te|writing|done|do|doing|say|said)\s(?:anything\s)?
         (?P<rest>(?:on|about|in|for)\s.+)$""",
    re.IGNORECASE | re.VERBOSE,
)
_MONTHS = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_SITES = (
    r"(?:(?:the\s)?(?:arXiv|OpenReview|PubMed|Medline|DBLP|CrossRef|Zotero|Mendeley|Wikipedia|GitHub|Scopus|ACL\sAnthology"
    r"|Papers\s[Ww]ith\sCode)|\w+\sScholar)\b"
)
_FROM = re.compile(
    rf"""\b(?:papers?|articles?|publications?|preprints?) (?P<cut>\sfrom\s (?!{_MONTHS}\b|{_SITES})
         (?P<who>(?-i:[A-Z][\w.&’'-]*(?:\s(?:(?:of|and|de|la|van|von)\s)?[A-Z][\w.&’'-]*){{0,3}})))
         (?=\s(?:about|on|that|which|regarding|concerning|for|using)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose papers are wanted. `sure` says that it is an institution or a country; else it may be anything that papers
    come from: a person, a venue."""

    who: str
    sure: bool


def institution(question: str) -> tuple[Origin | None, str]:
    """The institution whose papers a question wants, and the question without it.

    >>> institution("papers from Google about pruning")
    (Origin(who='Google', sure=True), 'papers about pruning')
    >>> institution("papers on reviews from Amazon")[0]
    """
    if len(question) > _LONGEST:
        return None, question
    asked = _PUBLISHED.match(question)
    if asked and not _is_other_word(asked["who"]):
        return Origin(asked["who"], sure=True), f"papers {asked['rest']}"
    for pattern in _RULES:
        match = pattern.search(question)
        if match and not _is_other_word(match["who"]):
            return Origin(match["who"], sure=True), _without(question, match)
    return None, question


def origin(topic: str) -> tuple[Origin | None, str]:
    """What else "papers from X about Y" come from, and the topic without it, where one is left; venues and dates were
    taken out before.

    >>> origin("papers from Cerebras about sparsity")
    (Origin(who='Cerebras', sure=False), 'papers about sparsity')
    """
    match = _FROM.search(topic) if len(topic) <= _LONGEST else None
    return (Origin(match["who"], sure=False), _without(topic, match)) if match else (None, topic)


def _without(question: str, match: re.Match[str]) -> str:
    start, end = match.span("cut")
    rest = f"{question[:start].rstrip()} {question[end:].lstrip()}".strip()
    return re.sub(r"\s+([?.!,;])", r"\1", rest).lstrip(",; ")


def _is_other_word(name: str) -> bool:
    return name in _OTHER_WORDS or not text.words(name)
