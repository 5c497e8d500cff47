"""Which language a question is asked in, where it is surely not English."""

from __future__ import annotations

import re
from collections import Counter

# Words that each language uses all the time and English does not.
_WORDS = {
    "German": """
        der das dem ist sind und oder nicht ein eine einen einem einer wie wer wo warum wieso welche welcher welches
        welchen welchem viele wieviel wieviele hat haben wird werden wurde wurden für über mit auf zum zur von vom bei
        im es gibt gegen zwischen kann können funktioniert erkläre arbeiten artikel geschrieben
    """,
    "French": """
        le la les du des est sont et ou pas un une que qui quoi quel quelle quels quelles pourquoi combien où dans pour
        avec sur par au aux cette ces ce fonctionne écrit expliquez explique quand
    """,
    "Spanish": """
        el los las del es son y qué que quién quiénes cuál cuáles cuántos cuántas cuánto cómo dónde cuándo por para con
        una unos entre está están sobre funciona artículos escribió
    """,
    "Italian": """
        il lo gli della delle dei degli è sono e che chi cosa cos quale quali quanto quanti quante perché come dove
        quando per con una tra nel nella hanno ha scritto funziona articoli
    """,
    "Portuguese": """
        o os da das dos é são e que quem qual quais quanto quantos quantas como onde quando por para com uma entre não
        está sobre funciona artigos escreveu
    """,
    "Dutch": """
        het een zijn en of niet wie wat waar waarom hoe welke hoeveel heeft hebben wordt werd voor met op van bij tussen
        kan artikelen geschreven werkt
    """,
}
# In several of these languages, or English in a paper's name: they count, but never alone.
_SHARED = frozenset("el o e y en of o es con per la le lo il da das des ha op com sobre".split())
_BY_WORD: dict[str, list[str]] = {}
for _language, _listed in _WORDS.items():
    for _word in _listed.split():
        _BY_WORD.setdefault(_word, []).append(_language)
_ENGLISH = frozenset(
    "the is are was were what which who how why when where does do did of in on for to and or a an with by from it its"
    " that this these can could has have about between there any".split()
)
# English words that are as common in other languages.
_FALSE_FRIENDS = {
    "was": ("German",),
    "in": ("German",),
    "an": ("German",),
    "a": ("Portuguese", "Spanish", "French", "Italian"),
    "do": ("Portuguese",),
}
_SCRIPTS = (
    ("Japanese", r"[\u3040-\u30ff]"),
    ("Korean", r"[\uac00-\ud7af]"),
    ("Chinese", r"[\u3400-\u9fff]"),
    ("Russian or another language in Cyrillic letters", r"[\u0400-\u04ff]"),
    ("Arabic", r"[\u0600-\u06ff]"),
    ("Hebrew", r"[\u0590-\u05ff]"),
    ("Hindi or another language in Devanagari letters", r"[\u0900-\u097f]"),
    ("Thai", r"[\u0e00-\u0e7f]"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _SCRIPTS)
_WORD = re.compile(r"[^\W\d_]+")
_WINDOW = 500
_FEWEST_LETTERS = 2
_ENGLISH_QUESTION = 2  # such words in it


def language_of(question: str) -> str | None:
    """The language of a question in another one than English, None for English and where it cannot be told.

    >>> [language_of(one) for one in ("Was ist Dropout?", "什么是注意力机制?", "What is dropout?", "BERT")]
    ['German', 'Chinese', None, None]
    """
    start = question[:_WINDOW]
    said = {word.lower() for word in _WORD.findall(start)}
    for name, pattern in _PATTERNS:
        # An English question may quote a word.
        if len(pattern.findall(start)) >= _FEWEST_LETTERS and len(said & _ENGLISH) < _ENGLISH_QUESTION:
            return name
    found = Counter(language for word in said for language in _BY_WORD.get(word, ()))
    if not found:
        return None
    language, count = found.most_common(1)[0]
    english = sum(language not in _FALSE_FRIENDS.get(word, ()) for word in said & _ENGLISH)
    own = any(language in _BY_WORD.get(word, ()) for word in said - _SHARED)
    return language if own and count > english else None
