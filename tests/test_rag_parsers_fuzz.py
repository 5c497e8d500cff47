"""Hypothesis against every parser: nothing crashes, nothing hangs, no good record is lost beside a bad one."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import InputError
from rag.papers import Record, Reject
from rag.parsers import FORMATS, Notice, parse, parse_text

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
relaxed = settings(
    max_examples=int(os.environ.get("CITEWISE_FUZZ_EXAMPLES", "10000")) if LONG else 60,
    deadline=None if LONG else 5_000,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)

TITLE = "Small Models Cannot Count Overlapping Coins"
ABSTRACT = (
    "Counting coins in photographs is a task that small models are said to solve. We test twelve of them on a new set"
    " of ten thousand photographs and find that none passes chance on overlapping coins, whatever their size may be."
)
GOOD = {
    "jsonl": json.dumps({"title": TITLE, "abstract": ABSTRACT}) + "\n",
    "arxiv": json.dumps({"id": "2001.00001", "title": TITLE, "abstract": ABSTRACT, "categories": "cs.LG"}) + "\n",
    "json": json.dumps({"title": TITLE, "abstract": ABSTRACT}) + ",\n",
    "csv": f'"{TITLE}","{ABSTRACT}",2020\n',
    "tsv": f"{TITLE}\t{ABSTRACT}\t2020\n",
    "bibtex": f"@misc{{key, title = {{{TITLE}}}, abstract = {{{ABSTRACT}}}}}\n",
    "ris": f"TY  - JOUR\nTI  - {TITLE}\nAB  - {ABSTRACT}\nER  - \n",
    "medline": f"PMID- 1\nTI  - {TITLE}\nAB  - {ABSTRACT}\n\n",
    "wos": f"PT J\nTI {TITLE}\nAB {ABSTRACT}\nER\n\n",
    "endnote": f"%0 Journal Article\n%T {TITLE}\n%X {ABSTRACT}\n\n",
    "arxiv-page": f"arXiv:2001.00001 [pdf]\nTitle: {TITLE}\nAbstract: {ABSTRACT}\n",
    "atom": f"<entry><title>{TITLE}</title><summary>{ABSTRACT}</summary></entry>\n",
    "listing-lines": f"3 {TITLE} {ABSTRACT} 3 authors · Nov 27, 2024\n",
    "listing-blocks": f"{TITLE}\n\n{ABSTRACT}\n\n",
    "listing-pairs": f"{TITLE}\n{ABSTRACT}\n",
    "abstract-lines": f"{ABSTRACT}\n",
    "text": f"# {TITLE}\n\n{ABSTRACT}\n\n",
}
OPENING = {
    "wos": "FN Clarivate Analytics Web of Science\nVR 1.0\n",
    "json": "[\n",
    "csv": "title,abstract,year\n",
    "tsv": "title\tabstract\tyear\n",
    "atom": '<feed xmlns="http://www.w3.org/2005/Atom">\n',
}
CLOSING = {"json": "]", "atom": "</feed>"}
# Pieces that mean something to one parser or another.
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ",",
        ":",
        "\\",
        "\n",
        "\r\n",
        "\t",
        ";",
        "@misc{",
        "@",
        "=",
        "TY  - ",
        "ER  - ",
        "PMID- ",
        "PT J",
        "arXiv:2001.00001 [pdf]",
        "AB  - ",
        "<entry>",
        "</entry>",
        "<title>",
        "&amp;",
        "&x;",
        "<!--",
        "]]>",
        "<![CDATA[",
        "#",
        "##",
        "Title:",
        "Abstract:",
        "new",
        "3 authors · Mar 11",
        "-",
        "12 ",
        "$x^2$",
        "\\'e",
        "{\\'",
        "\\begin{",
        "%",
        "~",
        "null",
        "1e999",
        "\\ud800",
        "\x00",
        "\x1f",
        "\u2028",
        "\ufeff",
        "\u200b",
        "é",
        "数",
        "Subscribe",
        "10.1000/x",
        "http://",
        "--",
        "=====",
        "word. Word",
        " " * 20,
    ]
)
NOISE = st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=25).map("".join)


def test_every_format_is_fuzzed():
    assert set(GOOD) == set(FORMATS)


def check(items):
    for item in items:
        assert isinstance(item, Record | Reject | Notice)
        if isinstance(item, Record):
            assert item.title or item.abstract
            assert item.title == " ".join(item.title.split())
            assert item.abstract == " ".join(item.abstract.split())
            assert item.url is None or item.url.lower().startswith(("http://", "https://"))
            json.dumps(asdict(item), ensure_ascii=False).encode("utf-8")
        if isinstance(item, Reject):
            assert item.reason
            assert "\n" not in item.reason
            assert item.line >= 0


def read(text, name):
    try:
        items = list(parse_text(text, format=name))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return []
    check(items)
    return items


@relaxed
@given(content=st.binary(max_size=2_000), name=st.sampled_from([None, *FORMATS]))
def test_arbitrary_bytes_never_crash(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(content)
    try:
        check(list(parse(path, format=name)))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


@relaxed
@given(text=NOISE, name=st.sampled_from([None, *FORMATS]))
def test_arbitrary_text_never_crashes(text, name):
    read(OPENING.get(name or "", "") + text, name)


@pytest.mark.parametrize("name", GOOD)
@relaxed
@given(data=st.data())
def test_mutated_files_never_crash(name, data):
    text = OPENING.get(name, "") + GOOD[name] * 4 + CLOSING.get(name, "")
    for _ in range(data.draw(st.integers(1, 6))):
        place, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 40))
        text = text[:place] + data.draw(PIECES) + text[place + cut :]
    read(text, name)
    read(text, None)


# One broken record between good ones. The listings and pasted text have no record marks: there noise may become part
# of a neighbour's text, so only the forms with marks or one record a line are held to this.
MARKED = ["jsonl", "arxiv", "json", "csv", "tsv", "bibtex", "ris", "atom", "listing-lines", "abstract-lines"]
ONE_LINE = st.lists(st.one_of(PIECES, st.text(max_size=8)), min_size=1, max_size=12).map(
    lambda parts: "".join("".join(parts).splitlines())
)


def broken(name, noise):
    """A bad record of a format: noise where its content should be."""
    if name in ("jsonl", "arxiv"):
        return noise + "\n"
    if name == "json":
        return '{"title": ' + noise.replace('"', "").replace("[", "").replace("{", "").replace("\\", "") + "},\n"
    if name == "bibtex":
        return "@misc{bad, title = {" + noise.replace("@", "") + "\n"
    if name == "ris":
        return f"TY  - JOUR\nAB  - {noise}\nER  - \n"
    if name == "atom":
        return f"<entry><title>{noise.replace('<', '')}</entry>\n"
    return noise + "\n"


@pytest.mark.parametrize("name", MARKED)
@relaxed
@given(noise=ONE_LINE)
def test_good_records_beside_a_bad_one_survive(name, noise):
    text = OPENING.get(name, "") + GOOD[name] + broken(name, noise) + GOOD[name] + CLOSING.get(name, "")
    records = [item for item in read(text, name) if isinstance(item, Record)]
    good = [record for record in records if record.abstract == ABSTRACT and record.title in (TITLE, "")]
    assert len(good) == 2


@pytest.mark.slow
def test_ten_thousand_inputs_for_each_of_these_tests():
    command = [sys.executable, "-m", "pytest", __file__, "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, env={**os.environ, "HYPOTHESIS_PROFILE": "long"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5_000:]
