"""The structured formats: what each parser reads, keeps and rejects."""

import gzip
import json

import pytest

from rag.errors import InputError, UsageError
from rag.papers import Record, Reject
from rag.parsers import FORMATS, Notice, parse, parse_text

ABSTRACT = "We measure how well small models count coins in photographs and find that they rarely do."


def read(text, declared=None, columns=None, tmp_path=None):
    """Records and rejects of a text; through a file when columns are declared."""
    if columns is None:
        items = list(parse_text(text, format=declared))
    else:
        path = tmp_path / "input.csv"
        path.write_text(text, encoding="utf-8")
        items = list(parse(path, format=declared, columns=columns))
    records = [item for item in items if isinstance(item, Record)]
    return records, [item for item in items if isinstance(item, Reject)]


def detected(text):
    return parse_text(text).format


# JSON Lines

ARXIV = {
    "id": "0704.0007",
    "submitter": "A. Person",
    "authors": "C. Bal\\'azs (MSU), E. L. Berger and P. M. Nadolsky",
    "title": "Counting Coins\n  with Small Models",
    "journal-ref": "J.Coin.D76:013009,2007",
    "doi": "10.1103/PhysRevD.76.013009",
    "categories": "hep-ph cs.LG",
    "abstract": "  We show that $x<y$ holds\nfor all coins, see\n  https://github.com/coins/count.\n",
    "versions": [{"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}],
    "update_date": "2008-11-26",
    "authors_parsed": [["Balázs", "C.", ""], ["Berger", "E. L.", ""], ["Nadolsky", "P. M.", ""]],
}


def test_arxiv_snapshot_keeps_every_field_and_unwraps_lines():
    (record,), rejects = read(json.dumps(ARXIV))
    assert detected(json.dumps(ARXIV)) == "arxiv"
    assert not rejects
    assert record.title == "Counting Coins with Small Models"
    assert record.abstract == "We show that $x<y$ holds for all coins, see https://github.com/coins/count."
    assert record.authors == ("C. Balázs", "E. L. Berger", "P. M. Nadolsky")
    assert record.n_authors == 3
    assert (record.date, record.year) == ("2007-04-02", 2007)
    assert record.venue == "J.Coin.D76:013009,2007"
    assert record.doi == "10.1103/physrevd.76.013009"
    assert record.arxiv_id == record.external_id == "0704.0007"
    assert record.url == "https://arxiv.org/abs/0704.0007"
    assert record.keywords == ("hep-ph", "cs.LG")
    assert record.code_urls == ("https://github.com/coins/count",)


def test_broken_json_lines_are_rejected_with_their_line_and_the_others_survive():
    good = json.dumps({"title": "Good", "abstract": ABSTRACT})
    text = "\n".join([good, '{"title": "cut', "[1, 2]", "null", '{"a": 1}', '{"title": "x",}', good])
    records, rejects = read(text)
    assert [record.source.line for record in records] == [1, 7]
    assert [reject.line for reject in rejects] == [2, 3, 4, 5, 6]
    assert "no title and no abstract" in rejects[3].reason


def test_json_lines_whose_first_line_is_broken_are_still_json_lines():
    good = json.dumps({"title": "Good", "abstract": ABSTRACT})
    records, rejects = read('{"title": "cut\n' + good + "\n" + good)
    assert len(records) == 2
    assert [reject.line for reject in rejects] == [1]


@pytest.mark.parametrize(
    "value", [5, 1.5, True, None, [], {}, ["a", 1], {"value": {"value": 3}}, float("nan"), 10**400]
)
@pytest.mark.parametrize(
    "key", ["title", "abstract", "authors", "year", "date", "url", "doi", "keywords", "id", "tldr"]
)
def test_values_of_any_type_never_crash_a_good_record(key, value):
    row = {"title": "Counting coins", "abstract": ABSTRACT, key: value}
    records, rejects = read(json.dumps(row) + "\n" + json.dumps({"title": "Next", "abstract": ABSTRACT}))
    assert records[-1].title == "Next"
    assert len(records) + len(rejects) == 2


@pytest.mark.parametrize(
    "filler", ["", "N/A", "n/a", "Abstract not available", "No abstract available.", "-", "null", "…"]
)
def test_placeholder_abstracts_are_no_abstracts(filler):
    (record,), _ = read(json.dumps({"title": "Counting coins", "abstract": filler}))
    assert record.abstract == ""


def test_absurdly_long_fields_are_rejected_with_the_reason():
    rows = [
        {"title": "t" * 2_001, "abstract": ABSTRACT},
        {"title": "x", "abstract": "word " * 50_000},
        {"title": "Fine", "abstract": ABSTRACT},
    ]
    records, rejects = read("\n".join(map(json.dumps, rows)))
    assert [record.title for record in records] == ["Fine"]
    assert "title of 2,001" in rejects[0].reason
    assert "abstract of" in rejects[1].reason


# JSON documents

NOTE = {
    "id": "abc",
    "forum": "abc",
    "pdate": 1_700_000_000_000,
    "content": {
        "title": {"value": "Coins at Scale"},
        "abstract": {"value": ABSTRACT},
        "authors": {"value": ["Ann Bee", "Cy Dee"]},
        "keywords": {"value": ["coins", "scale"]},
        "TL;DR": {"value": "Coins scale."},
        "venue": {"value": "CoinConf 2023"},
    },
}


@pytest.mark.parametrize("indent", [None, 1])
def test_openreview_notes_are_read_with_their_lines(indent):
    text = json.dumps({"notes": [NOTE, NOTE], "count": 2}, indent=indent)
    records, rejects = read(text)
    assert detected(text) == "json"
    assert not rejects
    assert [record.title for record in records] == ["Coins at Scale"] * 2
    assert records[0].authors == ("Ann Bee", "Cy Dee")
    assert records[0].tldr == "Coins scale."
    assert records[0].keywords == ("coins", "scale")
    assert records[0].venue == "CoinConf 2023"
    assert records[0].url == "https://openreview.net/forum?id=abc"
    assert records[0].date == "2023-11-14"
    if indent:
        line = text.splitlines()[records[1].source.line - 1]
        assert line.strip() == "{"
        assert records[1].source.line > records[0].source.line > 1


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda rows: rows, id="list"),
        pytest.param(lambda rows: {"total": 2, "data": rows}, id="object with one list"),
        pytest.param(lambda rows: {"response": {"papers": rows}}, id="list two levels down"),
        pytest.param(lambda rows: {str(index): row for index, row in enumerate(rows)}, id="object of objects"),
        pytest.param(lambda rows: [rows[:1], rows[1:]], id="list of lists"),
    ],
)
def test_json_records_are_found_wherever_they_lie(wrap):
    rows = [{"title": f"Paper {name}", "abstract": ABSTRACT, "refs": [{"title": "no"}]} for name in "AB"]
    records, rejects = read(json.dumps(wrap(rows)))
    assert [record.title for record in records] == ["Paper A", "Paper B"]
    assert not rejects


def test_a_broken_object_in_a_json_list_costs_only_itself():
    text = (
        '[\n{"title": "One", "abstract": "We do."},\n{"title": "Two", "abstract": "x",},\n{"title": Three},\n7,\n'
        '{"title": "Fo"ur", "abstract": "y"},\n{"title": "Five", "abstract": "We did."}\n]'
    )
    records, rejects = read(text)
    assert [record.title for record in records] == ["One", "Five"]
    assert [reject.line for reject in rejects] == [3, 4, 5, 6]


def test_a_json_list_that_is_cut_short_keeps_what_came_before():
    text = json.dumps([{"title": f"P{index}", "abstract": ABSTRACT} for index in range(5)])
    records, rejects = read(text[:-40])
    assert [record.title for record in records] == ["P0", "P1", "P2", "P3"]
    assert len(rejects) >= 1


def test_semantic_scholar_answers_keep_their_identifiers():
    row = {
        "paperId": "p1",
        "externalIds": {"DOI": "10.1000/ABC", "ArXiv": "2101.00001v3"},
        "title": "Coins",
        "abstract": None,
        "authors": [{"authorId": "1", "name": "Ann Bee"}],
        "year": 2021,
        "openAccessPdf": {"url": "https://example.org/c.pdf"},
    }
    (record,), _ = read(json.dumps({"total": 1, "data": [row]}))
    assert (record.doi, record.arxiv_id, record.external_id) == ("10.1000/abc", "2101.00001", "p1")
    assert record.url == "https://example.org/c.pdf"
    assert record.authors == ("Ann Bee",)
    assert record.abstract == ""


def test_openalex_inverted_abstracts_are_put_in_order():
    row = {"display_name": "Coins", "abstract_inverted_index": {"count": [1], "We": [0], "coins.": [2]}}
    (record,), _ = read(json.dumps(row))
    assert record.abstract == "We count coins."


# CSV and TSV


def test_zotero_csv_is_read_with_quoted_newlines_tags_and_entities():
    text = (
        "\ufeffKey,Title,Author,Publication Year,Abstract Note,DOI,Url,Manual Tags,Publication Title\r\n"
        'K1,"The ""Coin"" Problem","Smith, John; Doe, Jane",2019,"<p>We count\r\ncoins &amp; notes.</p>",'
        'https://doi.org/10.1000/XYZ.,https://example.org/a,"a; b",Journal of Coins\r\n'
    )
    (record,), rejects = read(text)
    assert not rejects
    assert record.title == 'The "Coin" Problem'
    assert record.abstract == "We count coins & notes."
    assert record.authors == ("John Smith", "Jane Doe")
    assert (record.year, record.date, record.venue) == (2019, "2019", "Journal of Coins")
    assert record.doi == "10.1000/xyz"
    assert record.keywords == ("a", "b")
    assert record.external_id == "K1"
    assert record.source.line == 2


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_delimiter_is_found(delimiter):
    text = delimiter.join(["title", "abstract", "year"]) + "\n" + delimiter.join(["Coins", "We count.", "2020"]) + "\n"
    (record,), _ = read(text)
    assert (record.title, record.abstract, record.year) == ("Coins", "We count.", 2020)
    assert detected(text) == ("tsv" if delimiter == "\t" else "csv")


def test_broken_rows_never_cost_their_neighbours():
    text = (
        "title,abstract,year\nGood one,We count coins.,2020\nonly this\na,b,c,d,e\n"
        '"never closed,x,2020\nGood two,We count notes.,2021\nGood three,We stop.,2022\n'
    )
    records, rejects = read(text)
    assert [record.title for record in records] == ["Good one", "Good two", "Good three"]
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (3, "1 columns where the header has 3"),
        (4, "5 columns where the header has 3"),
        (5, "a quote that is never closed"),
    ]


def test_a_stray_quote_that_swallows_rows_gives_them_back():
    text = 'title,abstract,year\n"open,x,2020\nGood one,We count coins.,2020\nQuoted,"We, too",2021\n'
    records, rejects = read(text)
    assert [record.title for record in records] == ["Good one", "Quoted"]
    assert [reject.line for reject in rejects] == [2]


def test_a_header_without_rows_is_said():
    records, rejects = read("title,abstract\n")
    assert not records
    assert rejects[0].reason == "a header and no rows"


def test_a_repeated_column_is_noticed_and_the_first_is_used():
    items = list(parse_text("title,abstract,title\nOne,We do.,Two\n"))
    assert [item.title for item in items if isinstance(item, Record)] == ["One"]
    assert any(isinstance(item, Notice) and "more than once" in item.message for item in items)


def test_the_better_named_of_two_columns_wins():
    (record,), _ = read("name,title,description,abstract\nfile.pdf,Coins,short,We count coins.\n")
    assert (record.title, record.abstract) == ("Coins", "We count coins.")


def test_columns_can_be_declared_by_name(tmp_path):
    text = "Werk,Inhalt,Jahr\nCoins,We count coins.,2020\n"
    (record,), _ = read(text, columns={"title": "werk", "abstract": "Inhalt", "year": "Jahr"}, tmp_path=tmp_path)
    assert (record.title, record.abstract, record.year) == ("Coins", "We count coins.", 2020)


def test_columns_can_be_declared_by_number_without_a_header(tmp_path):
    text = "1,Coins,We count coins.\n2,Notes,We count notes.\n"
    records, _ = read(text, columns={"title": 2, "abstract": "3"}, tmp_path=tmp_path)
    assert [record.title for record in records] == ["Coins", "Notes"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"title": "Nope"}, "has no column 'Nope'"),
        ({"title": 9}, "has no column 9"),
        ({"colour": "a"}, "no field is called"),
    ],
)
def test_wrong_declarations_are_said_before_anything_is_read(columns, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\nc,d\n")
    with pytest.raises(UsageError, match=message):
        parse(path, columns=columns)


def test_csv_without_known_columns_is_an_error_that_shows_how_to_declare(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("foo,bar\n1,2\n")
    with pytest.raises(InputError, match=r"no column is called title or abstract \(found: foo, bar\)"):
        parse(path)


# BibTeX

BIB = r"""@string{conf = "Conference on Coins"}
@comment{ignored}
@inproceedings{mueller2020,
  title = {Counting {C}oins with {\'E}tudes},
  author = {M{\"u}ller, J{\"o}rg and {The Coin Collaboration} and van Dyk, Ann},
  year = 2020, month = mar, booktitle = conf,
  abstract = {We save 50% of $x_1$ & more, at \$5.},
  doi = {10.1000/ABC}, eprint = {2003.00001}, archivePrefix = {arXiv}, keywords = {coins, notes}
}

@article{bad,
  title = {Never closed,

@misc{twice, title = {First Title}, title = {Second}, year = {2019}}
@book{nothing, year = {2001}}
@misc(round, title = "Quoted Title", year = "1999")
"""


def test_bibtex_accents_braces_macros_and_names_are_decoded():
    records, rejects = read(BIB)
    assert detected(BIB) == "bibtex"
    first = records[0]
    assert first.title == "Counting Coins with Études"
    assert first.authors == ("Jörg Müller", "The Coin Collaboration", "Ann van Dyk")
    assert first.abstract == "We save 50% of $x_1$ & more, at $5."
    assert (first.date, first.year, first.venue) == ("2020-03", 2020, "Conference on Coins")
    assert (first.doi, first.arxiv_id, first.external_id) == ("10.1000/abc", "2003.00001", "mueller2020")
    assert first.keywords == ("coins", "notes")
    assert first.source.line == 3
    assert [record.title for record in records[1:]] == ["First Title", "Quoted Title"]
    assert [reject.line for reject in rejects] == [11, 15]


@pytest.mark.parametrize("key", ["code", "codeUrl", "code_link", "repository", "github", "GitHub URL", "Source Code"])
def test_a_code_column_is_read_into_the_code_links(key):
    (record,), _ = read(json.dumps([{"title": "Coins", "abstract": ABSTRACT, key: "https://github.com/a/coins."}]))
    assert record.code_urls == ("https://github.com/a/coins",)


def test_code_links_of_the_column_and_of_the_abstract_are_joined_and_a_yes_is_no_link():
    abstract = f"{ABSTRACT} Code: https://github.com/a/coins"
    rows = [
        {"title": "A", "abstract": abstract, "code": ["github.com/a/coins", "https://git.example.org/b/coins"]},
        {"title": "B", "abstract": ABSTRACT, "code": "Yes"},
    ]
    (first, second), _ = read(json.dumps(rows))
    assert first.code_urls == ("https://git.example.org/b/coins", "https://github.com/a/coins")
    assert second.code_urls == ()


def test_a_bibtex_repository_is_a_code_link_with_its_underscores():
    entry = f"@misc{{a, title={{Coins}}, abstract={{{ABSTRACT}}}, repository={{https://github.com/a/my_coins}}}}"
    (record,), _ = read(entry)
    assert record.code_urls == ("https://github.com/a/my_coins",)


SICI = "10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9"


@pytest.mark.parametrize(
    "written",
    [
        SICI,
        f"doi:{SICI}.",
        f"https://doi.org/{SICI}",
        "https://doi.org/10.1002/(SICI)1097-4571(199009)41:6%3C391::AID-ASI1%3E3.0.CO;2-9",
        "10.1002/(SICI)1097-4571(199009)41:6&lt;391::AID-ASI1&gt;3.0.CO;2-9",
        "10.1002/(SICI)1097-4571(199009)41:6$<$391::AID-ASI1$>$3.0.CO;2-9",
    ],
)
def test_an_old_doi_with_angle_brackets_is_whole(written):
    (record,), _ = read(json.dumps([{"title": "Indexing", "abstract": ABSTRACT, "doi": written}]))
    assert record.doi == SICI.lower()
    assert record.url == "https://doi.org/10.1002/(sici)1097-4571(199009)41:6%3C391::aid-asi1%3E3.0.co;2-9"


@pytest.mark.parametrize("text", ['<a href="https://doi.org/10.1000/x">here</a>', "10.1000/x<br>", "<10.1000/x>"])
def test_a_tag_after_a_doi_is_no_part_of_it(text):
    (record,), _ = read(json.dumps([{"title": "Indexing", "abstract": ABSTRACT, "doi": text}]))
    assert record.doi == "10.1000/x"


def test_a_bad_bibtex_entry_writes_nothing_to_the_terminal(capfd):
    read(BIB)
    assert capfd.readouterr() == ("", "")


# RIS


def test_ris_records_are_read_with_wrapped_lines_and_repeated_tags():
    text = (
        "TY  - JOUR\r\nTI  - Counting Coins\r\nAB  - We count\r\n  coins.\r\nAU  - Smith, J.\r\nAU  - Doe, Jane\r\n"
        "PY  - 2020/03/01/\r\nJO  - J. Coins\r\nUR  - https://example.org/x\r\n"
        "DO  - 10.1000/X\r\nKW  - a\r\nKW  - b\r\nER  - \r\n"
        "\r\nTY  - CONF\r\nT1  - Second\r\nN2  - <p>We &lt; they.</p>\r\n\r\nTY  - CONF\r\nTI  - Third\r\nER  - \r\n"
    )
    records, rejects = read(text)
    assert detected(text) == "ris"
    assert not rejects
    assert [record.title for record in records] == ["Counting Coins", "Second", "Third"]
    assert records[0].abstract == "We count coins."
    assert records[0].authors == ("J. Smith", "Jane Doe")
    assert (records[0].date, records[0].doi, records[0].keywords) == ("2020-03-01", "10.1000/x", ("a", "b"))
    assert records[1].abstract == "We < they."
    assert [record.source.line for record in records] == [1, 15, 19]


def test_a_ris_record_without_title_or_abstract_is_rejected():
    records, rejects = read("TY  - JOUR\nPY  - 2020\nER  - \nTY  - JOUR\nTI  - Fine\nER  - \n")
    assert [record.title for record in records] == ["Fine"]
    assert [reject.line for reject in rejects] == [1]


# Atom

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">
  <title>ArXiv Query</title>
  <entry>
    <id>http://arxiv.org/abs/2101.00001v2</id>
    <title>Counting
      Coins</title>
    <summary>  We show $a &lt; b$
      for coins. </summary>
    <published>2021-01-01T10:00:00Z</published>
    <updated>2022-01-01T10:00:00Z</updated>
    <author><name>Ann Bee</name></author><author><name>Cy Dee</name></author>
    <arxiv:doi>10.1000/AB</arxiv:doi>
    <arxiv:journal_ref>J. Coins 1</arxiv:journal_ref>
    <link href="http://arxiv.org/abs/2101.00001v2" rel="alternate" type="text/html"/>
    <category term="cs.LG"/>
  </entry>
  <entry><title>Broken & wrong</title></entry>
  <entry><title>&bomb;</title></entry>
  <entry><title>Last</title><summary>We end.</summary></entry>
</feed>
"""


def test_an_arxiv_feed_is_read_entry_by_entry():
    records, rejects = read(FEED)
    assert detected(FEED) == "atom"
    first, last = records
    assert first.title == "Counting Coins"
    assert first.abstract == "We show $a < b$ for coins."
    assert first.authors == ("Ann Bee", "Cy Dee")
    assert (first.date, first.venue, first.doi) == ("2021-01-01", "J. Coins 1", "10.1000/ab")
    assert (first.arxiv_id, first.url) == ("2101.00001", "http://arxiv.org/abs/2101.00001v2")
    assert first.keywords == ("cs.LG",)
    assert first.source.line == 4
    assert last.title == "Last"
    assert [reject.line for reject in rejects] == [18, 19]


def test_a_feed_that_is_cut_short_keeps_its_whole_entries():
    records, rejects = read(FEED[: FEED.index("<entry><title>Broken") + 20])
    assert [record.title for record in records] == ["Counting Coins"]
    assert "cut short" in rejects[-1].reason


def test_an_xml_bomb_is_rejected_and_not_expanded():
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>&b;</title></entry></feed>'
    )
    records, rejects = read(bomb)
    assert not records
    assert len(rejects) == 1


# Tagged exports and copied pages


def test_pubmed_records_keep_full_names_dates_and_identifiers():
    text = (
        "\nPMID- 31452104\nOWN - NLM\nDP  - 2019 Nov 3\nTI  - Counting coins\n      at scale.\n"
        f"LID - btz682 [pii]\nLID - 10.1093/bioinformatics/btz682 [doi]\nAB  - {ABSTRACT}\n      It ends here.\n"
        "FAU - Lee, Jinhyuk\nAU  - Lee J\nFAU - Yoon, Wonjin\nAU  - Yoon W\nTA  - Bioinf\nJT  - Bioinformatics\n"
        "OT  - coins\nOT  - counting\n\nPMID- 2\nDP  - 2020 Winter\nTI  - Second of them.\n"
    )
    (first, second), rejects = read(text)
    assert not rejects
    assert (first.title, first.authors) == ("Counting coins at scale", ("Jinhyuk Lee", "Wonjin Yoon"))
    assert first.abstract == f"{ABSTRACT} It ends here."
    assert (first.date, first.venue, first.keywords) == ("2019-11-03", "Bioinformatics", ("coins", "counting"))
    assert (first.doi, first.url) == ("10.1093/bioinformatics/btz682", "https://pubmed.ncbi.nlm.nih.gov/31452104/")
    assert (second.title, second.date) == ("Second of them", "2020")


def test_web_of_science_text_gives_each_author_of_its_continued_lines():
    text = (
        "FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\nAU Smith, J\n   Lee, K\nAF Smith, John\n   Lee, Kim\n"
        f"TI Counting coins\n   at scale\nSO COIN J\nDE coins; nets\nAB {ABSTRACT}\nPY 2018\nDI"
        f" 10.1162/coin_1\nER\n\nEF\n"
    )
    (record,), rejects = read(text)
    assert not rejects
    assert (record.authors, record.keywords) == (("John Smith", "Kim Lee"), ("coins", "nets"))
    assert (record.year, record.venue, record.doi) == (2018, "COIN J", "10.1162/coin_1")


def test_the_tab_separated_export_of_the_web_of_science_keeps_venue_and_doi():
    (record,), _ = read(
        f"PT\tAU\tTI\tSO\tAB\tPY\tDI\nJ\tLee, K\tCounting coins\tCOIN J\t{ABSTRACT}\t2018\t10.1162/c1\n"
    )
    assert (record.venue, record.doi) == ("COIN J", "10.1162/c1")


ARXIV_SEARCH = f"""Showing 1-2 of 2 results for all: coins
1. arXiv:2411.18092 [pdf, other]
cs.CV
stat.ML
Counting coins that are
broken in two
Authors: Ann Lee,
Bo Ek
Abstract: We count… ▽ More
{ABSTRACT} △ Less
Submitted 27 November, 2024; originally announced November 2024.
Journal ref: ICML 2024
2. arXiv:2411.00001v2 [pdf]  cs.LG
Coins: another paper
Authors: Cy Ed
Abstract: {ABSTRACT}
Submitted 1 November, 2024; v1 submitted 30 October, 2024; originally announced October 2024.
Comments: 9 pages
"""
ARXIV_NEW = """Authors and titles for recent submissions
[1] arXiv:2511.16652 [pdf, html, other]
Title: Coins at the hyperscale
Ann Lee, Bo Ek
Comments: 48 pages
Subjects: Machine Learning (cs.LG)
"""


def test_a_copied_page_of_arxiv_search_results_is_read_with_whole_abstracts():
    (first, second), rejects = read(ARXIV_SEARCH)
    assert not rejects
    assert (first.title, first.authors) == ("Counting coins that are broken in two", ("Ann Lee", "Bo Ek"))
    assert (first.abstract, first.date, first.venue) == (ABSTRACT, "2024-11-27", "ICML 2024")
    assert (second.title, second.arxiv_id, second.abstract) == ("Coins: another paper", "2411.00001", ABSTRACT)


def test_a_copied_list_of_new_arxiv_papers_gives_titles_and_says_that_it_holds_no_abstracts():
    (record,), rejects = read(ARXIV_NEW)
    assert not rejects
    assert (record.title, record.authors, record.abstract) == ("Coins at the hyperscale", ("Ann Lee", "Bo Ek"), "")
    told = [item.message for item in parse_text(ARXIV_NEW) if isinstance(item, Notice)]
    assert "1 entries of this page hold no abstract: only their titles can be found" in told


def test_a_copied_google_scholar_page_is_refused_with_what_to_do_instead():
    page = "Articles\nCounting coins\nA Lee - arXiv, 2020\n… we count …\nCited by 12 Related articles All 3 versions\n"
    with pytest.raises(InputError, match="snippets, not abstracts: export"):
        parse_text(page)


def test_zotero_attachments_are_no_papers():
    rows = (f'"A","journalArticle","Coins","{ABSTRACT}"', '"B","attachment","Full Text PDF",""')
    (record,), (reject,) = read("\n".join(('"Key","Item Type","Title","Abstract Note"', *rows, "")))
    assert (record.title, reject.reason) == ("Coins", "a Zotero attachment, not a paper")


def test_the_last_line_of_a_web_of_science_ris_file_is_no_stray_line():
    _, rejects = read(f"TY  - JOUR\nTI  - Coins\nAB  - {ABSTRACT}\nER  -\n\nEF  -\n")
    assert not rejects


# Every format

SAMPLES = {
    "jsonl": json.dumps({"title": "Counting coins at scale", "abstract": ABSTRACT}) + "\n",
    "json": json.dumps([{"title": "Counting coins at scale", "abstract": ABSTRACT}]),
    "csv": f"title,abstract\nCounting coins at scale,{ABSTRACT}\n",
    "tsv": f"title\tabstract\nCounting coins at scale\t{ABSTRACT}\n",
    "bibtex": "@misc{a, title={Counting coins at scale}, abstract={" + ABSTRACT + "}}\n",
    "ris": f"TY  - JOUR\nTI  - Counting coins at scale\nAB  - {ABSTRACT}\nER  - \n",
    "medline": f"PMID- 12\nTI  - Counting coins\n      at scale.\nAB  - {ABSTRACT}\n",
    "wos": "FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\nTI Counting coins\n   at scale\n"
    f"AB {ABSTRACT}\nER\n\nEF\n",
    "endnote": f"%0 Journal Article\n%T Counting coins at scale\n%X {ABSTRACT}\n",
    "arxiv-page": f"1. arXiv:2001.00001 [pdf, other] cs.LG\nCounting coins at scale\nAuthors: A. Person\n"
    f"Abstract: {ABSTRACT}\n",
    "atom": '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Counting coins at scale</title>'
    f"<summary>{ABSTRACT}</summary></entry></feed>",
    "text": f"Counting coins at scale\n\n{ABSTRACT}\n",
    "listing-lines": f"3 Counting coins at scale {ABSTRACT} 2 authors · Mar 1, 2020\n",
    "listing-blocks": f"new\n\nCounting coins at scale\n\n{ABSTRACT * 4}\n\n"
    f"Counting notes at scale\n\n{ABSTRACT * 4}\n",
    "listing-pairs": f"Counting coins at scale\n{ABSTRACT * 4}\nCounting notes at scale\n{ABSTRACT * 4}\n",
    "abstract-lines": f"{ABSTRACT * 4}\n" * 5,
    "arxiv": json.dumps({**ARXIV, "title": "Counting coins at scale"}),
}


def test_every_format_has_a_sample_and_a_description():
    assert set(SAMPLES) == set(FORMATS)
    assert all(FORMATS.values())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_detected_and_reported(name):
    parsed = parse_text(SAMPLES[name])
    assert parsed.format == name
    items = list(parsed)
    assert items[0] == Notice("pasted text", 1, f"format detected: {name}")
    assert not [item for item in items if isinstance(item, Reject)]
    records = [item for item in items if isinstance(item, Record)]
    assert records[0].title == ("" if name == "abstract-lines" else "Counting coins at scale")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_format_is_read_from_files_packed_or_not_in_every_encoding(name, packed, encoding, tmp_path):
    content = SAMPLES[name].replace("\n", "\r\n").encode(encoding)
    path = tmp_path / ("input.gz" if packed else "input")
    path.write_bytes(gzip.compress(content) if packed else content)
    parsed = parse(path)
    assert parsed.format == name
    read_again = [[item for item in parsed if isinstance(item, Record)] for _ in range(2)]
    assert read_again[0] == read_again[1]
    assert [record.title for record in read_again[0]] == [
        item.title for item in parse_text(SAMPLES[name]) if isinstance(item, Record)
    ]
    assert parsed.bytes_read == parsed.bytes_total == path.stat().st_size


@pytest.mark.parametrize("name", SAMPLES)
def test_declaring_the_format_silences_detection(name):
    items = list(parse_text(SAMPLES[name], format=name))
    assert not [item for item in items if isinstance(item, Notice) and "detected" in item.message]
    assert [item for item in items if isinstance(item, Record)]


@pytest.mark.parametrize("declared", FORMATS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_wrongly_declared_format_never_crashes(name, declared):
    try:
        items = list(parse_text(SAMPLES[name], format=declared))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(isinstance(item, Record | Reject | Notice) for item in items)
