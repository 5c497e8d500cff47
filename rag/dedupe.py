"""Whether two records are the same paper: pure rules, in which a false merge is worse than a missed one."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from rag.papers import Record
from rag.text import normalised_title

SAME_TITLE = 0.30
"""Containment of the abstracts' trigrams from which papers of one title are the same."""
NEAR_TITLE = 0.60
"""Jaccard similarity from which papers are the same whose titles differ by a slip of the pen."""
UNTITLED = 0.80
"""The same where a title is missing, or where one has a subtitle that the other lacks."""
CONTAINED = 0.90
"""Containment that stands for similarity: one abstract is a part of the other."""
_FEW = 12
"""Trigrams below which an abstract is too short to say by itself which paper it is."""

_WORD = re.compile(r"[^\W_]+")
_BLANKS = {code: " " for code in range(128) if not chr(code).isalnum()}
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ARXIV_DOI = re.compile(r"10\.48550/arxiv\.(.+)")
_VERSION = re.compile(r"v\d+$")


def _listed(text: str) -> frozenset[str]:
    return frozenset(" ".join(item.split()) for item in text.split(","))


_GENERIC = _listed("""
    abstract, acknowledgements, acknowledgments, announcement, announcements, book review, book reviews,
    comment, commentary, conclusion, conclusions, contents, correction, corrigendum, discussion, editorial,
    editorial board, errata, erratum, foreword, forums, guest editorial, index, introduction, invited talk,
    invited talks, keynote, keynotes, letter, message, news, overview, panel, plenaries and keynotes, plenary,
    plenary session, plenary sessions, plenary talks, poster session, preface, proceedings, program, program
    committee, reply, response, retraction, review, special sessions, summary, table of contents, tutorial,
    tutorials, untitled, welcome, withdrawn, workshop, workshop and tutorials, workshops, workshops and
    tutorials
""")
_NUMBER_WORDS = _listed("""
    one, two, three, four, five, six, seven, eight, nine, ten, first, second, third, fourth, fifth,
    single, double, dual, triple, i, ii, iii, iv, v, vi, vii, viii, ix, x, alpha, beta
""")
_QUALIFIERS = _listed("""
    abstract, addendum, appendix, comment, comments, companion, corrected, correction, corrigendum,
    demo, demonstration, errata, erratum, expanded, extended, extension, journal, poster, preliminary,
    rebuttal, reply, response, retracted, retraction, revisited, short, summary, supplement,
    supplementary, supplemental, tutorial, version, video
""")


@dataclass(frozen=True)
class Identity:
    """What of a record says which paper it is. The text forms are made when first asked for."""

    record: Record

    @cached_property
    def title(self) -> str:
        """The normalised title, empty when untitled."""
        return normalised_title(self.record.title)

    @cached_property
    def title_words(self) -> frozenset[str]:
        """The words of the normalised title."""
        return frozenset(self.title.split())

    @cached_property
    def trigrams(self) -> frozenset[tuple[str, str, str]]:
        """Word trigrams of the abstract, without case, accents, punctuation and LaTeX commands."""
        words = abstract_words(self.record.abstract)
        return frozenset(zip(words, words[1:], words[2:], strict=False))

    @cached_property
    def doi(self) -> str | None:
        """The DOI in lower case, unless it only wraps an arXiv id."""
        doi = _plain_doi(self.record)
        return None if doi is None or _ARXIV_DOI.fullmatch(doi) else doi

    @cached_property
    def arxiv_id(self) -> str | None:
        """The arXiv id without its version."""
        doi = _plain_doi(self.record) or ""
        wrapped = _ARXIV_DOI.fullmatch(doi)
        given = self.record.arxiv_id or (wrapped and wrapped[1])
        return _VERSION.sub("", given.lower().removeprefix("arxiv:")) if given else None


def abstract_words(abstract: str) -> list[str]:
    """Lower-case words for comparing abstracts; LaTeX commands and accents are dropped.

    >>> abstract_words("A na\\u00efve $\\\\mathbf{x}_t$-Model.")
    ['a', 'naive', 'x', 't', 'model']
    """
    if "\\" in abstract:
        abstract = _COMMAND.sub(" ", abstract)
    if not abstract.isascii():
        return _WORD.findall(_ACCENTS.sub("", unicodedata.normalize("NFKD", abstract)).lower())
    return abstract.lower().translate(_BLANKS).split()


def same_paper(a: Identity, b: Identity) -> str | None:
    """Why two records are the same paper, in words for the user; None when they are not, or it is unsure."""
    if a.doi and a.doi == b.doi:
        return "same DOI"
    if a.arxiv_id and a.arxiv_id == b.arxiv_id:
        return "same arXiv id"
    if contradicts(a, b):
        return None
    if not a.title or not b.title:
        return _same_untitled(a, b)
    if a.title == b.title:
        return _same_titled(a, b)
    return _same_but_for_slips(a, b)


def contradicts(a: Identity, b: Identity) -> bool:
    """Whether something explicit says that two records are different papers, whatever their texts say."""
    if (a.doi and b.doi and a.doi != b.doi) or (a.arxiv_id and b.arxiv_id and a.arxiv_id != b.arxiv_id):
        return True
    return _two_rows(a.record, b.record) or _numbers(a, b) or _strangers(a.record, b.record)  # the cheapest first


def similarity(a: Identity, b: Identity) -> float:
    """Jaccard similarity of the abstracts' word trigrams, in 0..1."""
    shared = len(a.trigrams & b.trigrams)
    return shared / (len(a.trigrams) + len(b.trigrams) - shared) if shared else 0.0


def containment(a: Identity, b: Identity) -> float:
    """Share of the shorter abstract's word trigrams that the longer one has too, in 0..1."""
    least = min(len(a.trigrams), len(b.trigrams))
    return len(a.trigrams & b.trigrams) / least if least else 0.0


def _same_titled(a: Identity, b: Identity) -> str | None:
    if not a.record.abstract or not b.record.abstract:
        sure = a.title not in _GENERIC and not _years_apart(a.record, b.record)
        return "same title" if sure else None
    # "This chapter introduces …" under "Introduction" says nothing.
    similar = _alike(a, b, UNTITLED) if a.title in _GENERIC else containment(a, b) >= SAME_TITLE
    if similar or a.record.abstract == b.record.abstract:
        return "same title and similar abstract"
    named = a.record.external_id == b.record.external_id and len(a.record.external_id or "") > 5
    return "same title and id" if named and a.title not in _GENERIC else None


def _same_untitled(a: Identity, b: Identity) -> str | None:
    if a.record.abstract == b.record.abstract:
        return "same abstract"
    return "near-duplicate abstract" if _alike(a, b, UNTITLED) else None


def _same_but_for_slips(a: Identity, b: Identity) -> str | None:
    if a.title in _GENERIC or b.title in _GENERIC:
        return None
    shorter, longer = sorted((a.title, b.title), key=len)
    cut = longer.startswith(f"{shorter} ")  # a subtitle left out
    if not cut and not _share_letters(shorter, longer):
        return None
    if _alike(a, b, UNTITLED if cut else NEAR_TITLE) and (cut or _slips(shorter, longer)):
        return "similar title and abstract"
    return None


def _alike(a: Identity, b: Identity, least: float) -> bool:
    if _short(a, b):
        return False
    shorter, longer = sorted((len(a.trigrams), len(b.trigrams)))
    part = shorter >= 0.3 * longer and containment(a, b) >= CONTAINED
    return part or similarity(a, b) >= least


def _short(a: Identity, b: Identity) -> bool:
    return min(len(a.trigrams), len(b.trigrams)) < _FEW


def _share_letters(a: str, b: str) -> bool:
    # Cheap, and true of all titles that pass `_slips`: Dice similarity of letter trigrams.
    one, other = _letter_trigrams(a), _letter_trigrams(b)
    return 2 * len(one & other) >= 0.8 * (len(one) + len(other))


def _slips(a: str, b: str) -> bool:
    """Whether titles differ by at most three letters, one for each 15 of them; spaces do not count."""
    a, b = a.replace(" ", ""), b.replace(" ", "")
    most = min(3, len(a) // 15)
    return abs(len(a) - len(b)) <= most and _edits(a, b) <= most


def _edits(a: str, b: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(b) + 1))
    for at, letter in enumerate(a, 1):
        corner, row[0] = row[0], at
        for to, other in enumerate(b, 1):
            corner, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, corner + (letter != other))
    return row[-1]


def _letter_trigrams(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}


def _numbers(a: Identity, b: Identity) -> bool:
    """Titles that differ in a number or a word such as "extended" name a series, not one paper."""
    if not a.title or not b.title or a.title == b.title:
        return False
    marks = [{w for w in identity.title_words if _marks(w)} for identity in (a, b)]
    return marks[0] != marks[1]


def _marks(word: str) -> bool:
    return word.isdigit() or word in _NUMBER_WORDS or word in _QUALIFIERS


def _strangers(a: Record, b: Record) -> bool:
    """Both name their authors, and no family name is on both lists."""
    if not a.authors or not b.authors:
        return False
    return not _family_names(a) & _family_names(b)


def _family_names(record: Record) -> set[str]:
    # Either end of a name may be the family name ("Bengio, Y.", "Y. Bengio"), so any long part counts.
    return {part for name in record.authors for part in normalised_title(name).split() if len(part) > 1}


def _two_rows(a: Record, b: Record) -> bool:
    """Two rows of one file that carry different identifiers are two papers to the file's owner."""
    return bool(a.external_id and b.external_id and a.source.path == b.source.path and a.external_id != b.external_id)


def _years_apart(a: Record, b: Record) -> bool:
    return a.year is not None and b.year is not None and abs(a.year - b.year) > 2


def _plain_doi(record: Record) -> str | None:
    if not record.doi:
        return None
    return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", record.doi.strip().lower()) or None
