"""The table of formats: a new one is a reading function and a row here."""

from __future__ import annotations

from rag.parsers.arxiv_pages import read_arxiv_page
from rag.parsers.atom import read_atom
from rag.parsers.base import Format
from rag.parsers.bibtex import read_bibtex
from rag.parsers.listings import read_abstracts, read_blocks, read_lines, read_pairs
from rag.parsers.objects import read_json, read_json_lines
from rag.parsers.ris import read_ris
from rag.parsers.tables import check_csv, check_tsv, read_csv, read_tsv
from rag.parsers.tagged import read_endnote, read_medline, read_wos
from rag.parsers.text_pages import read_text

TABLE: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("listing-lines", "a listing with one line a paper, ending in “N authors · date”", read_lines),
        Format("listing-blocks", "a listing of titles and abstracts with blank lines between", read_blocks),
        Format("listing-pairs", "a listing of title and abstract lines in turn", read_pairs),
        Format("abstract-lines", "one abstract a line, without titles", read_abstracts),
        Format("jsonl", "JSON Lines: one object a line", read_json_lines, read_lines=read_json_lines),
        Format(
            "json", "a JSON list of objects, or an object that holds one (OpenReview, Semantic Scholar, …)", read_json
        ),
        Format("arxiv", "the arXiv metadata snapshot (JSON Lines)", read_json_lines, read_lines=read_json_lines),
        Format("atom", "an Atom feed of the arXiv API", read_atom),
        Format("bibtex", "BibTeX (Zotero, Semantic Scholar, ACL Anthology, …)", read_bibtex),
        Format("ris", "RIS (Zotero, EndNote, publishers)", read_ris),
        Format("medline", "PubMed's MEDLINE form (.nbib)", read_medline),
        Format("wos", "plain text of the Web of Science", read_wos),
        Format("endnote", "EndNote's tagged form (.enw; ACM, Google Scholar)", read_endnote),
        Format("arxiv-page", "a copied page of arXiv's search results or new papers", read_arxiv_page),
        Format("csv", "comma-separated values with a header (Zotero, Scopus, …)", read_csv, check_csv),
        Format("tsv", "tab-separated values with a header", read_tsv, check_tsv),
        Format("text", "pasted text: a title and its abstract, or an abstract alone; Markdown headings", read_text),
    )
}
