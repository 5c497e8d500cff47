"""What the page draws: hostile text stays text, every marker is a button, what is unsupported says so."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rag import Answer, Citation, Filters, Paper, Sentence, Source
from rag.errors import SettingsError
from rag.papers import Record, SourceRef
from rag.parsers import parse_text
from rag.settings import Settings
from ui import render
from ui.conversation import dropped
from ui.exchange import Exchange, dumped, loaded
from ui.exports import exported
from ui.history import History
from ui.server import credentials

HOSTILE = (
    '<img src=x onerror=alert(1)><script>alert(2)</script>"><svg onload=alert(3)> [x](javascript:alert(4)) '
    "![i](http://evil.example/a.png) ${alert(5)} {{constructor}} $\\href{javascript:alert(6)}{x}$ </textarea>"
)
ABSTRACT = "First we look. Ember cuts the time by 41%. Last we stop."


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    return parser.seen


def paper(**fields: object) -> Paper:
    return Paper(**{"id": "p1", "title": "Ember", "abstract": ABSTRACT, **fields})  # type: ignore[arg-type]


def answer(shown: Paper, *, supported: bool = True) -> Answer:
    start = ABSTRACT.index("Ember")
    end = ABSTRACT.index(" Last")
    cited = Citation(1, shown.id, shown.title, ABSTRACT[start:end], start, end, 0.9, 0, supported)
    text = "Ember is 41% faster [1]."
    return Answer("How fast?", text, (Sentence(text, (1,), supported),), (cited,), (Source(1, shown, 2.0),))


def safe(html: str) -> None:
    for tag, attributes in tags(html):
        assert tag not in {"script", "img", "svg", "iframe", "template", "style"}
        assert not [name for name in attributes if name.startswith("on")]
        assert not (attributes.get("href") or "").lower().startswith(("javascript:", "data:"))


def test_hostile_text_is_only_text_wherever_it_is_shown():
    hostile = paper(
        id=HOSTILE, title=HOSTILE, abstract=HOSTILE, authors=(HOSTILE,), venue=HOSTILE, url="javascript:alert(1)",
        doi='"><script>', arxiv_id="'\"><b>",
        code_urls=("data:text/html,x", "https://ok.example/a'\"<>"), keywords=(HOSTILE,),
        sources=(SourceRef(HOSTILE, 1),),
    )  # fmt: skip
    sentence = Sentence(f"{HOSTILE} [1].", (1,), False)
    replied = Answer(
        HOSTILE, sentence.text, (sentence,), (), (Source(1, hostile, 1.0),), notes=(HOSTILE,), searched="x"
    )
    exchange = Exchange(HOSTILE, replied)
    report = {"parsed": 1, "added": 1, "duplicates": [{"title": HOSTILE, "reason": HOSTILE}], "seconds": 0.1,
              "rejected": [{"path": HOSTILE, "line": 1, "reason": HOSTILE}]}  # fmt: skip
    filters = Filters(venues=(HOSTILE,), only=(HOSTILE,))
    for html in (
        render.conversation_html([exchange, Exchange("q", problem=HOSTILE), Exchange("q", partial=HOSTILE)], HOSTILE),
        render.live_html(HOSTILE, 0, draft=HOSTILE),
        render.paper_html(hostile),
        render.table_html([hostile], total=1, offset=0, order="added"),
        render.report_html(report),
        render.chips_html(filters, left=1, total=1, titles={HOSTILE: HOSTILE}),
        render.menu_html({"years": {"2020": 1, "2021": 2}, "venues": {HOSTILE: 1}, "sources": {HOSTILE: 1, "b": 1}},
                         filters, 1),
        render.welcome_html(1, {"Read from": HOSTILE}, [HOSTILE]),
        render.turn_html(Exchange("q", Answer("q", "no", abstained=HOSTILE, sources=(Source(1, hostile, 1.0),))), 0),
    ):  # fmt: skip
        safe(html)


def test_each_marker_is_a_button_that_names_its_source_and_its_sentence():
    html = render.turn_html(Exchange("q", answer(paper())), 3)
    [cite] = [attributes for tag, attributes in tags(html) if attributes.get("class") == "cite"]
    assert (cite["data-source"], cite["data-sentence"], cite["aria-label"]) == ("1", "0", "Source 1: Ember")


def test_the_supporting_sentence_is_marked_inside_the_whole_abstract():
    html = render.evidence_html(answer(paper()))
    assert (
        '<p class="abstract">First we look. <mark data-for="0">Ember cuts the time by 41%.</mark> Last we stop.</p>'
        in html
    )


def test_an_answer_in_markdown_is_drawn_as_paragraphs_lists_and_headings():
    said = ("**Ember** is [1].", "It *has* `x<y` [1].", "One <b> [1].", "Two [1].", "Last, A* and B* [1].")
    text = f"## In short\n{said[0]} {said[1]}\n\n- {said[2]}\n- {said[3]}\n7. {said[4]}"
    sentences = (Sentence("In short", (), False), *(Sentence(item, (1,), True) for item in said))
    html = render.turn_html(Exchange("q", Answer("q", text, sentences, (), (Source(1, paper(), 1.0),))), 0)
    body = re.sub(r"<(?:button|span)[^>]*>|</(?:button|span)>|.The abstracts do not.*?\)", "", html)
    assert (
        "<h3>In short </h3><p><b>Ember</b> is1. It <em>has</em> <code>x&lt;y</code>1.</p>"
        '<ul><li>One &lt;b&gt;1.</li><li>Two1.</li></ul><ol start="7"><li>Last, A* and B*1.</li></ol></div>'
    ) in body
    assert [a["data-sentence"] for _, a in tags(html) if a.get("class") == "cite"] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("$\\pi^*$ and $V^*$", '<x-tex tex="\\pi^*">$\\pi^*$</x-tex> and <x-tex tex="V^*">$V^*$</x-tex>'),
        ("$$\na\n- b\n$$", '<x-tex tex=" a - b " display>$$ a - b $$</x-tex>'),
        ("O^*(n) and O^*(m)", "O^*(n) and O^*(m)"),
        ("x**2 + y**2 of re**G**ret", "x**2 + y**2 of re<b>G</b>ret"),
        ("``deep'' and ``wide'', `a' or `b', `c'/`d'", None),
        ("`x*y` and `$z$`, *so*", "<code>x*y</code> and <code>$z$</code>, <em>so</em>"),
    ],
)
def test_formulas_and_quotation_marks_of_latex_are_not_taken_for_markdown(text: str, drawn: str | None):
    html = f"<p>{drawn or escape(text)}</p>"
    assert f'<div class="answer draft">{html}</div>' in render.live_html("q", 0, draft=text)
    assert f">{html}</div>" in render.turn_html(Exchange("q", Answer("q", text)), 0)
    said = (Sentence(text, (), True),)
    whole = f'<p><span class="sentence" data-sentence="0">{html[3:-4]}</span></p>'
    assert whole in render.turn_html(Exchange("q", Answer("q", text, said)), 0)


def test_an_unsupported_sentence_says_so():
    assert "do not support this sentence" in render.turn_html(Exchange("q", answer(paper(), supported=False)), 0)
    assert "do not support this sentence" not in render.turn_html(Exchange("q", answer(paper())), 0)


def test_an_abstention_gives_the_reason_and_the_nearest_papers():
    html = render.turn_html(
        Exchange("q", Answer("q", "", abstained="none mentions lead", sources=(Source(1, paper(), 1.0),))), 0
    )
    assert "None mentions lead." in html
    assert [a["data-source"] for _, a in tags(html) if a.get("class") == "near"] == ["1"]


def test_a_marker_without_a_source_is_left_as_text():
    html = render.turn_html(Exchange("q", Answer("q", "x [7].", sources=(Source(1, paper(), 1.0),))), 0)
    assert "[7]" in html


@pytest.mark.parametrize(
    ("text", "formulas"),
    [("costs $5 and $10", []), ("$x^2$ and $$y$$", ["x^2", "y"]), (r"\(a\) \[b\]", ["a", "b"]), ("$ not $", [])],
)
def test_mathematics_is_told_from_money(text: str, formulas: list[str]):
    assert [a["tex"] for tag, a in tags(render.plain(text)) if tag == "x-tex"] == formulas


def test_a_question_completed_from_the_history_is_shown_as_searched():
    from dataclasses import replace

    html = render.turn_html(
        Exchange("and on graphs?", replace(answer(paper()), searched="How fast is Ember on graphs?")), 0
    )
    assert "Searched for <q>How fast is Ember on graphs?</q>" in html


def test_the_papers_that_a_follow_up_was_narrowed_to_are_called_by_their_titles():
    first = answer(paper(title="Ember: Fast Fires"))
    second = Answer("Which of these?", "None.", filters=Filters(only=("p1",)))
    html = render.conversation_html([Exchange("How fast?", first), Exchange("Which of these?", second)], "id")
    assert "only Ember<span" in html


def test_exchanges_survive_keeping_as_they_were():
    exchange = Exchange(
        "q", answer(paper(authors=("A", "B"), sources=(SourceRef("f", 2),))), Filters(year_from=2020), rating=1
    )
    assert loaded(dumped(exchange)) == exchange


def test_conversations_can_be_found_renamed_and_deleted_by_their_owner_only(tmp_path: Path):
    history = History(tmp_path)
    kept = history.save([Exchange("How fast is it?", answer(paper()))], owner="ann")
    assert history.load(kept, owner="bob") is None
    assert history.listed(owner="bob") == []
    history.delete(kept, owner="bob")
    history.rename(kept, "Speed", owner="ann")
    assert [item.title for item in history.listed("faster", owner="ann")] == ["Speed"]
    assert history.listed("nothing-like-it", owner="ann") == []
    history.save([], owner="ann", conversation=kept)
    assert history.load(kept, owner="ann") == ()
    history.delete(kept, owner="ann")
    assert history.listed(owner="ann") == []


def test_exports_hold_the_papers_and_cannot_be_broken_by_a_title():
    import bibtexparser
    import rispy

    exchange = Exchange(
        "q", answer(paper(title="50% of {Braces} & \\more", authors=("Ada Lovelace",), year=2020, venue="ICLR"))
    )
    library = bibtexparser.parse_string(exported([exchange], "bib", Settings()))
    assert not library.failed_blocks
    assert library.entries[0]["year"] == "2020"
    [row] = rispy.loads(exported([exchange], "ris", Settings()))
    assert (row["title"], row["authors"], row["abstract"]) == ("50% of {Braces} & \\more", ["Ada Lovelace"], ABSTRACT)
    assert "Ember is 41% faster [1]." in exported([exchange], "md", Settings())
    assert '"sha256"' in exported([exchange], "json", Settings())


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("Counting $O(n^2)$ coins in $\\mathbf{x}$", "Counting $O(n^2)$ coins in $\\mathbf{x}$"),
        ("\\input /etc/passwd", "\\textbackslash{}input /etc/passwd"),
        ("$\\input /etc/passwd$", "\\$\\textbackslash{}input /etc/passwd\\$"),
        ("$\\^^69nput x$", "\\$\\textbackslash{}\\textasciicircum{}\\textasciicircum{}69nput x\\$"),
        ("x}, author={Nobody", "x\\textbraceright{}, author=\\textbraceleft{}Nobody"),
        ("$a}$ {b", "\\$a\\textbraceright{}\\$ \\textbraceleft{}b"),
        ("costs $5", "costs \\$5"),
        ("from $5 to $10 an hour", "from \\$5 to \\$10 an hour"),
        ("at \\$5 or $x$", "at \\textbackslash{}\\$5 or $x$"),
    ],
)
def test_a_title_in_bibtex_neither_runs_as_latex_nor_ends_its_field(title: str, written: str):
    entry = exported([Exchange("q", answer(paper(title=title, authors=("Ada Lovelace",))))], "bib", Settings())
    assert f"  title = {{{written}}},\n  author = {{Ada Lovelace}}" in entry
    [record] = [item for item in parse_text(entry) if isinstance(item, Record)]
    assert record.title == title


def test_one_filter_can_be_dropped_without_the_others():
    filters = Filters(year_from=2020, venues=("A", "B"), has_code=True)
    assert dropped(filters, "venues", "A") == Filters(year_from=2020, venues=("B",), has_code=True)
    assert dropped(filters, "years", "") == Filters(venues=("A", "B"), has_code=True)


@pytest.mark.parametrize(
    ("host", "user", "password", "allowed"),
    [
        ("127.0.0.1", "", "", True),
        ("0.0.0.0", "", "", False),
        ("0.0.0.0", "admin", "admin", False),
        ("0.0.0.0", "ann", "aaaaaaaaaaaaaa", False),
        ("127.0.0.1", "ann", "", False),
        ("0.0.0.0", "ann", "correct horse battery", True),
    ],
)
def test_other_machines_come_in_only_with_a_good_password(monkeypatch, host, user, password, allowed):
    monkeypatch.setenv("CITEWISE_USER", user)
    monkeypatch.setenv("CITEWISE_PASSWORD", password)
    if allowed:
        assert credentials(host) == ((user, password) if user else None)
    else:
        with pytest.raises(SettingsError):
            credentials(host)
