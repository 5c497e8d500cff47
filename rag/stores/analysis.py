"""How text becomes the words of the lexical index, and how a question's words find other spellings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rag.british import other_spellings
from rag.text import STOP_WORDS

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

Frequency = Callable[[str], int]

_LONGEST_WORD = 80  # bytes: what is longer is no word anyone searches for
_MOST_QUERY_WORDS = 256
_SHORTEST_PART = 3
_RAW = re.compile(r"[^\W_]+")
_NUMBERED = re.compile(r"\b([^\W\d_]+)[- ](\d+)\b")  # "GPT-4", "Llama 2"
_JOINT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")  # between a letter and a digit


class Analysis:
    """Lower-cases, strips accents, drops stop words, and stems (Snowball, English); splits at whatever is no
    letter or digit, so that "fine-tuned" is two words and "Top2Vec" is one."""

    def __init__(self) -> None:
        from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

        filters = (
            Filter.remove_long(_LONGEST_WORD),
            Filter.lowercase(),
            Filter.ascii_fold(),
            Filter.custom_stopword(sorted(STOP_WORDS)),
            Filter.stemmer("english"),
        )
        builder = TextAnalyzerBuilder(Tokenizer.simple())
        for item in filters:
            builder = builder.filter(item)
        self.analyzer: TextAnalyzer = builder.build()

    def words(self, text: str) -> list[str]:
        """The index's words of a text, in order."""
        return self.analyzer.analyze(text)

    def query_words(self, query: str, frequency: Frequency) -> list[str]:
        """The words of a question that the index holds, with other spellings of compounds that it holds.

        A word that no passage holds is taken apart if that makes two known words ("GPT4", "finetuned"), a name
        and its number are also put together ("GPT-4" finds "GPT4" too), and British and American spellings find each
        other.
        """
        words = [word for word in self.words(query)[:_MOST_QUERY_WORDS] if frequency(word)]
        return words + [word for word in self._respelled(query, frequency) if word not in words]

    def spellings(self, word: str) -> list[list[str]]:
        """The index's words of a word as it is spelt, and as it is on the other side of the Atlantic."""
        return [self.words(one) for one in (word, *other_spellings(word.lower()))]

    def _respelled(self, query: str, frequency: Frequency) -> Iterator[str]:
        for name, number in _NUMBERED.findall(query)[:_MOST_QUERY_WORDS]:
            yield from (word for word in self.words(name + number) if frequency(word))
        for raw in _RAW.findall(query)[:_MOST_QUERY_WORDS]:
            words, *others = self.spellings(raw) if len(raw) <= _LONGEST_WORD else [[]]
            known = [word for other in others for word in other if frequency(word)]
            yield from known
            if words and not known and not any(map(frequency, words)):
                yield from self._apart(raw, frequency)

    def _apart(self, raw: str, frequency: Frequency) -> list[str]:
        """The two known words that an unknown one is made of: of all ways, the one of the commonest."""
        cuts = {match.start() for match in _JOINT.finditer(raw)}
        cuts |= set(range(_SHORTEST_PART, len(raw) - _SHORTEST_PART + 1))
        pairs = (self.words(raw[:cut]) + self.words(raw[cut:]) for cut in sorted(cuts))
        return max(
            (pair for pair in pairs if len(pair) == 2 and all(map(frequency, pair))),
            key=lambda pair: min(map(frequency, pair)),
            default=[],
        )
