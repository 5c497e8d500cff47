"""Questions about the library itself rather than about what its papers say: lists, counts, newest and oldest; and
what is no question about papers at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Listed = Literal["list", "count", "newest", "oldest", "upvoted"]
Declined = Literal[
    "greeting",
    "tool",
    "instruction",
    "advice",
    "vague",
    "nothing",
    "institutions",
    "cited",
    "tallied",
    "negated",
    "relative",
]
Wish = Listed | Declined


@dataclass(frozen=True, slots=True)
class LibraryIntent:
    """What is wanted of the library, and how many papers of it. Most wishes can only be declined: a greeting, a
    question about the program, an instruction to it, advice on what to read, the best of all without saying at what, a
    question that names nothing to search for; and where authors work, how often papers are cited, a ranking or a count
    by a field that none is made by, the papers that do not do something, and those before or after another paper."""

    wish: Wish
    most: int | None = None

    @property
    def declined(self) -> bool:
        """Whether no paper can answer this."""
        return self.wish not in get_args(Listed)

    @property
    def hinted(self) -> bool:
        """Whether it is no question about papers, so that all there is to say is what can be asked."""
        return self.wish in {"greeting", "tool", "instruction", "advice", "nothing"}


_PAPERS = frozenset(
    "paper papers article articles work works publication publications abstract abstracts preprint preprints study"
    " studies document documents entry entries item items record records".split()
)
_LIBRARY = frozenset("library collection corpus database".split())
_ADVICE = frozenset("best recommend recommended read reading start begin important interesting influential".split())
_ADVISED = frozenset("should would can could first next good really worth".split())
_THINGS = frozenset(
    "model models method methods approach approaches algorithm algorithms technique techniques architecture"
    " architectures system systems framework frameworks network networks dataset datasets one".split()
)
_SUPERLATIVE = frozenset(
    "best better good worst fastest largest biggest smallest strongest newest latest oldest accurate powerful popular"
    " important interesting influential recommended".split()
)
_RECENT = frozenset("newest latest".split())
_EARLY = frozenset("oldest earliest".split())
_UPVOTED = frozenset("upvoted popular upvotes votes liked".split())
# Words that carry no topic; a question made of nothing else is about the library as a whole.
_PLAIN = frozenset(
    "a about all also am an and any anything appeared are at available be been can contain contained contains content"
    " contents could count dated did do does else every everything find for from get give got had has have here hold"
    " holds i in include included includes is it its know list listed look many me more most my name new number of on"
    " one only or our out overall overview please posted published recent released see share show some something store"
    " stored such summarise summarize summary tell that the their them there these they this those to topic topics"
    " total try us was we were what what's which with would written year years you your".split()
)
_NO_SUBJECT = frozenset(
    "a an and are at be but can could did do does explain first for had has have he his how i if in is it its last me"
    " more much my next no not of ok on one or other others our please same second she so tell that the their them then"
    " there these they thing third this those to two three up us was we were what when where which who why will with"
    " would yes you your compare both all go continue else again really".split()
)
_NUMBERS = {word: n for n, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
_GREETING = re.compile(
    r"""\W*(?:(?:hi|hello|hey|hallo|hiya|greetings|good\s(?:morning|afternoon|evening|day|job|work|bot)|thanks?|thx
    |cheers|bye|goodbye|see\syou|test|testing|cool|great|nice|perfect|wow|lol|huh|no\sway|how\sare\syou(?:\sdoing)?
    |(?:that|this|it)(?:['’]s|\sis|\swas)?\s(?:helped|helpful|great|good|nice|useful|all|enough|wrong|false|not\s(?:true|right)
      |nonsense)
    |are\syou\ssure|you(?:['’]re|\sare)\s(?:wrong|right|great|welcome)|i\s(?:don['’]?t|do\snot)\s(?:understand|know|care)
    |i\ssee|got\sit)
    (?:\s(?:there|all|everyone|(?:so|very)\smuch|a\slot|lots|citewise|you|again|about\sthat|now))*\W*)+""",
    re.IGNORECASE | re.VERBOSE,
)
_GREETING_FIRST = re.compile(
    r"""^\W*(?:(?:hi|hello|hey|hallo|hiya|good\s(?:morning|afternoon|evening)|thanks|thank\syou|thx|great|cool|ok|okay)
    (?:\s(?:there|all|everyone|(?:so|very)\smuch|a\slot|citewise|again))*(?:\s?[,!.;:]+|\s[–-])\s+)+(?=\w)""",
    re.IGNORECASE | re.VERBOSE,
)
_TOOL = re.compile(
    r"""\W*(?:
      (?:who|what)\sare\syou | what(?:\sis|'s|’s)\syour\sname | (?:please\s)?help(?:\sme)?(?:\splease)?
      | (?:can|could)\s(?:you|anyone)\shelp(?:\sme)?
      | what\s(?:can|do)\s(?:you|i)\s(?:do|ask|know)(?:\s(?:here|with\sthis|you))?
      | how\s(?:do|does|can)\s(?:you|i|it|this|citewise)\s(?:work|use\s(?:this|it|you))
      | how\s(?:do|does)\s(?:this|the)\s(?:tool|app|application|program|chat|site|page|bot)\swork
      | (?:what|who)\s(?:is|made|wrote|built)
        \s(?:citewise|you|this\s(?:tool|app|application|program|chat|site|page|bot))
      | (?:are\syou|is\sthis)\s(?:an?\s)?(?:\w+\s)?(?:ai|bot|robot|human|person|chatgpt|gpt|llm|model|chatbot)
      | how\s(?:do|can|should)\si\s(?:ingest|import|upload|add|load|delete|remove|export|install)
        (?:\s(?:an?|the|my|your|more|new|some|other|all|this|it|them|here|to|into|in|from|of|and|papers?|abstracts?|files?
          |folders?|pdfs?|bibtex|zotero|ris|csv|json|references?|library|libraries|collection|citewise|answers?|chat))*
      | (?:which|what)\s(?:model|llm)\s(?:are\syou|do\syou\suse|is\sthis)\b.*
    )\W*""",
    re.IGNORECASE | re.VERBOSE,
)
_INSTRUCTION = re.compile(
    r"""\W*(?:please\s)?(?:(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules|guidelines)\b
    |(?:reveal|print|show|repeat|output|what\sis)\b.{0,20}\b(?:your|the\ssystem)\s(?:\w+\s)?(?:prompt|instructions)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_LONGEST = 200


def without_greeting(question: str) -> str:
    """A question without the greeting before it.

    >>> without_greeting("Hello, what is BERT?"), without_greeting("Hello")
    ('what is BERT?', 'Hello')
    """
    return _GREETING_FIRST.sub("", question, count=1)


def library_intent(question: str, *, filtered: bool) -> LibraryIntent | None:
    """What a question wants of the library as a whole, None when it asks about a topic or a paper.

    `question` is without the words of its filters; `filtered` says whether there were any.

    >>> library_intent("How many papers are in this library?", filtered=False)
    LibraryIntent(wish='count', most=None)
    """
    if _INSTRUCTION.match(question):
        return LibraryIntent("instruction")
    if len(question) > _LONGEST:
        return None
    if not filtered and _GREETING.fullmatch(question):
        return LibraryIntent("greeting")
    if not filtered and _TOOL.fullmatch(question):
        return LibraryIntent("tool")
    words = [word.replace("’", "'") for word in _WORD.findall(question.lower())]
    said = frozenset(words)
    most = next((number for word in words if (number := count_in(word))), None)
    if not filtered and {word for word in words if not word.isdecimal()} <= _NO_SUBJECT:
        return LibraryIntent("nothing")
    if (
        not filtered
        and said & (_PAPERS | {"read"})
        and said & _ADVICE
        and said <= _PLAIN | _PAPERS | _LIBRARY | _ADVICE | _ADVISED
    ):
        return LibraryIntent("advice")
    if not filtered and said & _THINGS and said & _SUPERLATIVE and said <= _PLAIN | _THINGS | _SUPERLATIVE | _ADVISED:
        return LibraryIntent("vague")
    wish = _wish(said, " ".join(words))
    ranked = wish != "count"
    counted = {word for word in said if count_in(word)} | {"top"} if ranked else frozenset[str]()
    plain = said - counted <= _PLAIN | _PAPERS | _LIBRARY | _RECENT | _EARLY | _UPVOTED | {"how"}
    about_papers = filtered or bool(said & (_PAPERS | _LIBRARY | {"here"}))
    if not plain or not about_papers or ("how" in said and wish != "count"):
        return None
    return LibraryIntent(wish, most if ranked else None)


def count_in(word: str) -> int | None:
    """The number that a word is, from 2 to 10 in letters; None for any other word."""
    word = word.lower()
    return int(word) if word.isdecimal() and len(word) < 3 else _NUMBERS.get(word)


def _wish(said: frozenset[str], question: str) -> Listed:
    if re.search(r"\bhow many\b|\bnumber of\b|\bcount\b", question):
        return "count"
    if said & _EARLY:
        return "oldest"
    if said & _UPVOTED:
        return "upvoted"
    return "newest" if said & _RECENT or "most recent" in question else "list"
