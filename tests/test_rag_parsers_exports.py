"""Exports as the products really write them: what each keeps of a record, and that nothing of it is taken for junk."""

import json

import pytest

from rag.papers import Record, Reject
from rag.parsers import parse_text

TITLE = "Shade protects coral colonies: evidence from the Red Sea"
ABSTRACT = (
    "We measured bleaching at 41 sites over six years. Shaded colonies lost 12% fewer symbionts than exposed ones"
    " (p < 0.05)."
)
DOI = "10.1234/coral.2021.17"


def read(text):
    items = list(parse_text(text))
    return [item for item in items if isinstance(item, Record)], [item for item in items if isinstance(item, Reject)]


def test_a_comparison_sign_that_zotero_spells_out_is_kept():
    entry = r"@article{a, title={X {\textless}i{\textgreater}b{\textless}/i{\textgreater} c}, abstract={%s}}"
    (record,), _ = read(entry % r"The loss fell (p {\textless} 0.05, {\textbar}r{\textbar} {\textgreater} 0.8).")
    assert (record.title, record.abstract) == ("X b c", "The loss fell (p < 0.05, |r| > 0.8).")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"{\textalpha}-synuclein of {\textGamma} cells", "α-synuclein of Γ cells"),
        (r"see \href{https://example.org/a_b}{our page} and \mbox{GPT-2}", "see our page and GPT-2"),
        (r"{\copyright} Reefs 2020, \S3, \pounds5", "© Reefs 2020, §3, £5"),
        (r"x^2 and 10^{6} cost $5 (50\%)", "x^2 and 10^6 cost $5 (50%)"),
        (r"from \$5 to \$6, M\^eme {\textasciicircum}", "from $5 to $6, Même ^"),
        (r"left as $a \textless b$ is", "left as $a \\textless b$ is"),
    ],
)
def test_latex_that_the_decoder_does_not_know_loses_no_words(written, meant):
    (record,), _ = read("@article{a, title={" + written + "}}")
    assert record.title == meant


ENW = f"""%0 Journal Article
%A Müller, Jürgen
%A van der Berg, Anna
%D 2021
%T {TITLE}
%J Journal of Reef Studies
%R {DOI}
%U https://example.org/coral
%K Coral
bleaching
%X {ABSTRACT}

A second paragraph of it.
%8 March 14, 2021

%0 Conference Paper
%T Where storks rest
%K storks, GPS
%A Seán O'Brien
%B Proceedings of the Bird Conference
%D 2019
"""


def test_the_tagged_form_of_endnote_and_acm_is_read_record_by_record():
    (first, second), rejects = read(ENW)
    assert not rejects
    assert (first.title, first.abstract) == (TITLE, f"{ABSTRACT} A second paragraph of it.")
    assert (first.authors, first.date) == (("Jürgen Müller", "Anna van der Berg"), "2021-03-14")
    assert (first.venue, first.doi, first.keywords) == ("Journal of Reef Studies", DOI, ("Coral", "bleaching"))
    assert (second.title, second.abstract, second.authors) == ("Where storks rest", "", ("Seán O'Brien",))
    assert (second.venue, second.year, second.keywords) == (
        "Proceedings of the Bird Conference",
        2019,
        ("storks", "GPS"),
    )


def test_an_author_alone_is_one_author():
    (record,), _ = read(f'"Title","Author","Abstract Note"\n"Coins","van der Berg, Anna","{ABSTRACT}"\n')
    assert record.authors == ("Anna van der Berg",)
    (record,), _ = read(f'"Title","Authors","Abstract"\n"Coins","Anna Berg, Cy Dee","{ABSTRACT}"\n')
    assert record.authors == ("Anna Berg", "Cy Dee")


def test_scopus_gives_its_full_names_without_their_numbers():
    header = "Authors,Author full names,Title,Year,Abstract"
    rows = (
        f'"Müller J.; Berg A.","Müller, Jürgen (57190000001); Berg, Anna (57190000002)","One",2021,"{ABSTRACT}"',
        f'"Doe J.","Doe, Jane (57190000003)","Two",2018,"{ABSTRACT}"',
    )
    (first, second), _ = read("\n".join((header, *rows, "")))
    assert first.authors == ("Jürgen Müller", "Anna Berg")
    assert second.authors == ("Jane Doe",)


def test_the_columns_of_the_web_of_science_are_not_taken_for_others():
    names = ("PT", "AU", "AF", "TI", "DE", "ID", "AB", "PD", "PY", "DA", "UT")
    cells = ("J", "Doe, J", "Doe, Jane", TITLE, "Coral; shade", "MORE", ABSTRACT, "MAR 14", "2021", "2023-05-04", "W:1")
    (record,), _ = read("\t".join(names) + "\n" + "\t".join(cells) + "\n")
    assert (record.date, record.authors) == ("2021-03-14", ("Jane Doe",))  # DA is the day of the export
    assert (record.keywords, record.external_id) == (("Coral", "shade"), "W:1")


def test_pubmed_chapters_groups_and_translated_titles_are_understood():
    text = (
        "PMID- 1\nTI  - [Where storks rest].\nFAU - O'Brien, Sean\nCN  - Stork Group\nOT  - *storks\nDP  - 2020\n\n"
        "PMID- 2\nBTI - The Book of Separators\nCTI - Separators for batteries\nDP  - 2018\n\n"
        "PMID- 3\nTI  - [18F]FDG uptake [in storks].\nDP  - 2018\n"
    )
    (article, chapter, tracer), _ = read(text)
    assert (article.title, article.keywords) == ("Where storks rest", ("storks",))
    assert article.authors == ("Sean O'Brien", "Stork Group")
    assert (chapter.title, chapter.venue) == ("Separators for batteries", "The Book of Separators")
    assert tracer.title == "[18F]FDG uptake [in storks]"


def test_openalex_works_keep_authors_venue_and_address_and_its_answer_costs_no_reject():
    work = {
        "id": "https://openalex.org/W1",
        "doi": f"https://doi.org/{DOI}",
        "title": TITLE,
        "publication_date": "2021-03-14",
        "primary_location": {"landing_page_url": "https://example.org/w", "source": {"display_name": "Reef Studies"}},
        "authorships": [
            {"author": {"display_name": "Jürgen Müller"}, "institutions": [{"display_name": "Univ"}]},
            {"author": {}, "raw_author_name": "A. Berg"},
            None,
        ],
        "abstract_inverted_index": {"Corals": [0], "bleach.": [1]},
    }
    answer = {"meta": {"count": 2, "page": 1}, "results": [work, {**work, "primary_location": None}], "group_by": []}
    (first, second), rejects = read(json.dumps(answer))
    assert not rejects
    assert (first.authors, first.venue) == (("Jürgen Müller", "A. Berg"), "Reef Studies")
    assert (first.url, first.date, first.abstract) == ("https://example.org/w", "2021-03-14", "Corals bleach.")
    assert second.venue is None


@pytest.mark.parametrize(
    ("dates", "date"),
    [
        ({"issued": {"date-parts": [[2021, 3, 14]]}}, "2021-03-14"),
        ({"issued": {"date-parts": [["2021", "3"]]}}, "2021-03"),
        ({"issued": {"date-parts": [[None]]}, "published-print": {"date-parts": [[2020]]}}, "2020"),
        ({"issued": {"date-parts": [[None]]}}, None),
        ({"published": 2021, "issued": None}, "2021"),
        ({"issued": {"raw": "March 14, 2021"}}, "2021-03-14"),
        ({"issued": []}, None),
    ],
    ids=["whole", "csl", "year", "unknown", "number", "raw", "odd"],
)
def test_crossref_dates_are_read_and_its_name_and_score_are_no_venue_and_no_votes(dates, date):
    work = {"title": [TITLE], "DOI": DOI, "source": "Crossref", "score": 1, "type": "journal-article", **dates}
    (record,), _ = read(json.dumps({"status": "ok", "message": {"query": {"start-index": 0}, "items": [work]}}))
    assert (record.date, record.venue, record.upvotes) == (date, None, None)
    assert (record.title, record.doi) == (TITLE, DOI)


def test_headings_within_a_crossref_abstract_end_in_a_colon():
    sections = (
        "<jats:title>Abstract</jats:title><jats:sec><jats:title>Background</jats:title><jats:p>Corals"
        " bleach.</jats:p></jats:sec><jats:sec><jats:title>Results</jats:title><jats:p>Shade helps (<jats:italic>p"
        "</jats:italic> &lt; 0.05).</jats:p></jats:sec>"
    )
    (record,), _ = read(json.dumps([{"title": [TITLE], "abstract": sections}]))
    assert record.abstract == "Background: Corals bleach. Results: Shade helps (p < 0.05)."


def test_dblp_hits_are_papers_with_clean_names_and_titles():
    info = {
        "authors": {"author": [{"@pid": "1/1", "text": "Wei Wang 0001"}, {"@pid": "1/2", "text": "Ewa Łukasz"}]},
        "title": "Where Storks Rest.",
        "venue": "KDD",
        "year": "2019",
        "ee": "http://arxiv.org/abs/1805.00001",
        "url": "https://dblp.org/rec/conf/kdd/W19",
    }
    alone = {**info, "title": "Why Storks Rest.", "authors": {"author": {"@pid": "1/3", "text": "Jane Doe"}}}
    hits = {"@total": "2", "hit": [{"@score": "4", "@id": "1", "info": info, "url": "URL#1"}, {"info": alone}]}
    (first, second), rejects = read(json.dumps({"result": {"status": {"@code": "200"}, "hits": hits}}))
    assert not rejects
    assert (first.title, first.authors) == ("Where Storks Rest", ("Wei Wang", "Ewa Łukasz"))
    assert (first.venue, first.year, first.arxiv_id) == ("KDD", 2019, "1805.00001")
    assert first.upvotes is None
    assert second.authors == ("Jane Doe",)


def test_records_under_a_key_of_an_envelope_are_still_read():
    for answer in ({"query": {"title": "Coins"}}, {"query": {"pages": {"1": {"title": "Coins"}}}}):
        (record,), _ = read(json.dumps(answer))
        assert record.title == "Coins"


def test_a_record_in_an_object_of_its_own_is_read_with_what_stands_beside_it():
    lines = [{"upvotes": 3, "_score": 9.1, "paper": {"title": "Coins", "abstract": ABSTRACT}}]
    (record,), _ = read("\n".join(json.dumps(line) for line in lines))
    assert (record.title, record.upvotes) == ("Coins", 3)


def test_a_record_of_somebody_else_with_an_address_at_dblp_keeps_its_authors():
    own = {"title": "Where Storks Rest.", "abstract": ABSTRACT, "authors": ["Wei Wang", "Ewa Łukasz"]}
    (record,), _ = read(json.dumps([own | {"url": "https://dblp.org/rec/conf/kdd/W19"}]))
    assert (record.title, record.authors) == ("Where Storks Rest", ("Wei Wang", "Ewa Łukasz"))


@pytest.mark.parametrize(
    "inner",
    [{"author": {"name": "Ewa Łukasz"}}, {"journal": {"title": "Reef Letters"}}, {"affiliation": {"name": "Reef Lab"}}],
)
def test_the_name_of_an_author_a_journal_or_a_laboratory_is_not_taken_for_a_title(inner):
    records, rejects = read(json.dumps([{"body": ABSTRACT} | inner]))
    assert not records
    assert "no title and no abstract" in rejects[0].reason
