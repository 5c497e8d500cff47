"""Cases are read from three formats, named by line when wrong, and tied to the papers of a library."""

import gzip
import json
from pathlib import Path

import pytest

from eval.case import Case
from eval.formats import load_beir, load_cases, load_trec
from eval.linking import Names, link
from rag.errors import InputError
from rag.papers import Paper

SHIPPED = sorted((Path(__file__).parents[1] / "eval" / "cases").glob("*.jsonl"))


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_case_files_load_whole(path: Path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    cases = load_cases(path)
    assert [case.id for case in cases] == [json.loads(line)["id"] for line in lines]


def test_a_case_keeps_all_it_was_given(tmp_path: Path):
    row = {
        "id": 7,
        "question": "And how fast?",
        "relevant": ["A paper"],
        "facts": [["fast", "quick"], "cheap"],
        "answer": "Fast and cheap.",
        "tags": ["follow-up"],
        "kind": "multi",
        "history": [{"question": "What is it?", "answer": "A method."}],
        "note": "unknown keys are passed over",
    }
    (case,) = load_cases(write(tmp_path / "cases.jsonl", row))
    assert case.id == "7"
    assert case.answerable
    assert case.facts == (("fast", "quick"), ("cheap",))
    assert case.groups == ("multi", "follow-up")
    assert case.history[0].question == "What is it?"


def test_a_case_with_nothing_to_find_is_unanswerable_unless_said_otherwise(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", {"id": "a", "question": "Q?"}, {"id": "b", "question": "Q?", "answerable": True})
    assert [case.answerable for case in load_cases(path)] == [False, True]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{not json", "not JSON"),
        ({"id": "a", "question": "Again?"}, "the id 'a' is also that of"),
        ({"id": "b", "question": "  "}, "the question is empty"),
        ({"id": "b"}, "question: Field required"),
        ({"id": "b", "question": "Q?", "fact": [["x"]]}, "unknown key 'fact'; did you mean 'facts'?"),
        ({"id": "b", "question": "Q?", "facts": [[]]}, "a fact needs at least one alternative"),
        ({"id": "b", "question": "Q?", "answerable": "maybe"}, "answerable: expected true or false"),
        ({"id": "b", "question": "Q?", "relevant": ["x"], "grades": [1, 2]}, "1 relevant papers but 2 grades"),
        ({"id": "b", "question": "Q?", "relevant": ["x"], "grades": [0]}, "a grade is a whole number from 1"),
        ({"id": "b", "question": "Q?", "relevant": "x"}, "relevant: expected a list"),
        ({"id": "b", "question": "Q?", "facts": ["x", 3]}, "facts.1: expected a list"),
        ({"id": "b", "question": ["Q?"]}, "question: expected text"),
        ({"id": "b", "question": "Q?", "history": ["before"]}, "history.0: expected an object"),
        ({"id": "b", "question": "Q?", "filters": 2019}, "filters: expected an object"),
        ({"id": "b", "question": "Q?", "paraphrase_of": "c"}, "paraphrase_of: no case has the id 'c'"),
        ([1, 2], "expected an object"),
    ],
)
def test_a_wrong_case_is_named_by_file_and_line(tmp_path: Path, second: object, message: str):
    path = write(tmp_path / "cases.jsonl", {"id": "a", "question": "Q?"}, second)
    with pytest.raises(InputError) as caught:
        load_cases(path)
    assert f"{path}:2: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_paraphrase_names_an_original_and_no_other_paraphrase(tmp_path: Path):
    first, again = {"id": "a", "question": "Q?"}, {"id": "b", "question": "Tell me: Q?", "paraphrase_of": "a"}
    assert [case.paraphrase_of for case in load_cases(write(tmp_path / "right.jsonl", again, first))] == ["a", ""]
    third = {"id": "c", "question": "So, Q?", "paraphrase_of": "b"}
    with pytest.raises(InputError, match=r"wrong\.jsonl:3: paraphrase_of: 'b' is a paraphrase itself"):
        load_cases(write(tmp_path / "wrong.jsonl", first, again, third))


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no case"):
        load_cases(path)


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read"):
        load_cases(tmp_path / "missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "tea"}\n{"question": "caf\xe9"}')
    with pytest.raises(InputError, match=r"latin\.jsonl:2: not UTF-8"):
        load_cases(tmp_path / "latin.jsonl")
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b'{"question": "tea"}\n' * 9)[:-9])
    with pytest.raises(InputError, match="cannot read"):
        load_cases(tmp_path / "torn.jsonl.gz")


def test_compressed_cases_with_a_byte_order_mark_load(tmp_path: Path):
    path = tmp_path / "cases.jsonl.gz"
    path.write_bytes(gzip.compress('\ufeff{"id": "a", "question": "Q?"}\n'.encode()))
    assert load_cases(path)[0].id == "a"


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    write(folder / "corpus.jsonl", {"_id": "d1", "title": "First paper", "text": "x"}, {"_id": "d2", "text": "y"})
    write(
        folder / "queries.jsonl",
        {"_id": "q1", "text": "one?"},
        {"_id": "q2", "text": "two?"},
        {"_id": "q3", "text": "3?"},
    )
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0", "q2\td2\t1")
    return folder


def test_a_beir_folder_gives_graded_cases_named_by_title(tmp_path: Path):
    one, two = load_cases(beir(tmp_path / "set"))
    assert (one.id, one.question, one.graded) == ("q1", "one?", {"First paper": 2})
    assert two.graded == {"d2": 1}


def test_a_malformed_judgement_is_named_by_line(tmp_path: Path):
    folder = beir(tmp_path / "set")
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1 d1 2")
    with pytest.raises(InputError, match=r"test\.tsv:2: expected 3 columns"):
        load_beir(folder)


def test_a_grade_that_is_no_number_is_named_by_file_and_line(tmp_path: Path):
    folder = beir(tmp_path / "set")
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\tyes")
    with pytest.raises(InputError, match=r"test\.tsv:3: the grade 'yes' is not a whole number"):
        load_beir(folder)


def test_a_beir_folder_whose_ids_disagree_says_so(tmp_path: Path):
    folder = beir(tmp_path / "set")
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "999\td1\t2")
    with pytest.raises(InputError, match=r"no query has a judgement in qrels/test\.tsv"):
        load_beir(folder)


TOPICS = """<top>
<num> Number: 301
<title> International Organized
Crime
<desc> Description: whatever
</top>

<top>
<num> Number: 302 </num>
<title> Polio </title>
</top>
"""


def test_trec_topics_meet_their_qrels(tmp_path: Path):
    topics, qrels = tmp_path / "topics", tmp_path / "qrels"
    topics.write_text(TOPICS, encoding="utf-8")
    write(qrels, "301 0 docA 1", "301 0 docB 0", "302 0 docC -1", "303 0 docD 1")
    (only,) = load_trec(topics, qrels)
    assert (only.id, only.question, only.relevant) == ("301", "International Organized Crime", ("docA",))
    assert only.where == f"{topics}:1"


def test_tabbed_topics_load_and_unmatched_ones_are_an_error(tmp_path: Path):
    topics = write(tmp_path / "topics.tsv", "1\twhat is it?")
    assert load_trec(topics, write(tmp_path / "qrels", "1 0 d 3"))[0].graded == {"d": 3}
    with pytest.raises(InputError, match="no topic has a judgement"):
        load_trec(topics, write(tmp_path / "qrels", "9 0 d 3"))


NAMED = [
    Paper(id="p1", title="LDReg: Local Dimensionality", abstract="a", doi="10.1/X", arxiv_id="2401.00001"),
    Paper(id="p2", title="Glossary of Terms", abstract="b"),
    Paper(id="p3", title="Glossary of terms.", abstract="c"),
]


@pytest.mark.parametrize("name", ["p1", "LDREG: local  dimensionality!", "10.1/x", "2401.00001"])
def test_a_paper_is_found_by_id_title_doi_and_arxiv_id(name: str):
    (linked,) = link([Case(question="Q?", relevant=(name,))], Names.of(NAMED))
    assert linked.relevant == ("p1",)


def test_papers_that_share_a_title_count_as_one():
    names = Names.of(NAMED)
    (linked,) = link([Case(question="Q?", relevant=("p3", "Glossary of Terms"))], names)
    assert linked.relevant == ("p2",)
    assert names.aliases == {"p3": "p2"}


def test_an_unknown_paper_is_named_with_its_line_and_the_nearest_title():
    case = Case(question="Q?", relevant=("LDReg: Local Dimensionalities",), where="cases.jsonl:4")
    with pytest.raises(InputError, match=r"cases\.jsonl:4: .*nearest title is 'ldreg local dimensionality'"):
        link([case], Names.of(NAMED))
    assert link([case], Names.of(NAMED), allow_missing=True)[0].relevant == case.relevant


def test_a_filter_that_there_is_not_is_named_with_its_line(tmp_path: Path):
    path = write(tmp_path / "cases.jsonl", {"id": "a", "question": "Q?", "filters": {"year": 2020}})
    with pytest.raises(InputError, match=r"cases\.jsonl:1: .*unknown filter 'year'; known are year_from"):
        load_cases(path)
