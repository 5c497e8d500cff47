"""Which field of ours an input's column or key name means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

_NAMES = {
    "title": "title|name|papertitle|articletitle|documenttitle|primarytitle|ti|t1|paper|titletext|displayname"
    "|citationtitle",
    "abstract": "abstract|abstracts|summary|abstractnote|abstracttext|description|ab|n2|paperabstract"
    "|abstractinvertedindex|articleabstract|snippet|citationabstract",
    "authors": "authors|author|creators|creator|authornames|authorslist|authorlist|authorfullnames|au|a1|writers"
    "|byline|authorshipsauthordisplayname",
    "authors_parsed": "authorsparsed",
    "n_authors": "nauthors|numauthors|authorcount|numberofauthors",
    "date": "date|published|publicationdate|publisheddate|datepublished|releasedate|updatedate|updated|posted|submitted"
    "|submitteddate|createdate|coverdate|publishedat|pdate|onlinedate|dateadded|da|y1",
    "year": "year|publicationyear|publishedyear|pubyear|py|yr|yearpublished",
    "venue": "venue|journal|booktitle|publicationtitle|conference|journaltitle|conferencename|containertitle"
    "|proceedings|publication|so|sourcetitle|journalref|journalname|conferencetitle|source|jo|jf|t2|publicationvenue|journalbook"
    "|primarylocationsourcedisplayname",
    "url": "url|link|links|paperurl|urls|landingpage|weburl|abstracturl|absurl|arxivurl|openreviewurl|ur|href|sourceurl"
    "|site|forumurl|pageurl|primarylocationlandingpageurl",
    "pdf": "pdf|pdfurl|pdflink|openaccesspdf",
    "code": "code|codeurl|codelink|codelinks|codeurls|coderepository|repository|repo|repourl|repositoryurl|github"
    "|githuburl|githublink|githubrepo|gitlab|sourcecode|sourcecodeurl|implementation|officialcode",
    "doi": "doi|doiurl|digitalobjectidentifier|do|di|articledoi",
    "arxiv_id": "arxivid|arxiv|eprint|arxividentifier|arxivnumber",
    "id": "id|key|paperid|identifier|uid|uuid|itemkey|citekey|citationkey|corpusid|forum|docid|documentid|docno"
    "|recordid|pid|pmid",
    "keywords": "keywords|keyword|tags|tag|topics|authorkeywords|indexkeywords|subjects|manualtags|kw|keywordslist"
    "|subjectareas|primaryarea|keywordsdisplayname",
    "categories": "categories|category|primarycategory",
    "tldr": "tldr|tl;dr|tldrtext|onesentencesummary|oneline|shortsummary",
    "upvotes": "upvotes|votes|likes|points|score|stars",
    "comments": "numcomments|commentcount|commentscount|numbercomments|ncomments",
    "item_type": "itemtype",
    "content": "content",
    "versions": "versions",
    "external_ids": "externalids",
}
KNOWN: dict[str, str] = {name: field for field, names in _NAMES.items() for name in names.split("|")}
FIELDS = frozenset(_NAMES)
"""The names that `columns` may declare."""

# Of two columns that mean the same, the one with the better name wins; these names are the weaker and the better ones.
_WEAK = frozenset(
    "name paper description snippet source score stars da y1 dateadded updated updatedate publication"
    " href site displayname summary forum t2 links key".split()
)

_STRONG = frozenset(("authorfullnames",))


@lru_cache(maxsize=8_192)
def field_of(name: str) -> str | None:
    """Our field for a column or key name in any case and spelling, None when unknown.

    >>> [field_of(name) for name in ("Abstract Note", "TL;DR", "Publication Year", "colour")]
    ['abstract', 'tldr', 'year', None]
    """
    return KNOWN.get(_plain(name))


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


@lru_cache(maxsize=1_024)
def assign(names: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """(index, our field) for each recognised name; of several names for one field the strongest, then the first."""
    best: dict[str, int] = {}
    for index, name in enumerate(names):
        field = field_of(name)
        if field is None:
            continue
        held = best.get(field)
        if held is None or _strength(name) > _strength(names[held]):
            best[field] = index
    return tuple(sorted((index, field) for field, index in best.items()))


def _strength(name: str) -> int:
    return 2 if _plain(name) in _STRONG else 0 if _plain(name) in _WEAK else 1


def recognised(names: Iterable[str]) -> set[str]:
    """The fields of ours that a header or a set of keys offers."""
    return {field for name in names if (field := field_of(name))}


def declared(columns: Mapping[str, str | int]) -> dict[str, str]:
    """Declared columns as column name (case-folded) to our field."""
    return {str(column).casefold().strip(): field for field, column in columns.items()}
