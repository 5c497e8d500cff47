"""Exports that can be replayed, feedback that is kept, uploads that do not overwrite each other."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rag import Answer, Filters, open_library
from rag.errors import InputError
from rag.settings import Settings
from ui import render
from ui.conversation import Chat
from ui.exchange import Exchange, Talk
from ui.exports import exported, file_name
from ui.library_view import Given, Shelf, stored
from ui.record import recorded
from ui.replay import read_record, replay, replayed, settings_of

ABSTRACT = "Glowworm lights the night with bacteria. It needs no power."


def talked(chat: Chat, *questions: str) -> Talk:
    talk = Talk()
    for question in questions:
        talk = [step for step in chat.ask(question, talk, session="s", owner="") if step.talk][-1].talk
    return talk


def test_a_record_holds_question_filters_passages_with_hashes_settings_and_text(starter_copy: Path):
    from hashlib import sha256

    with open_library(starter_copy) as library:
        [exchange] = talked(Chat(library), "What is BERT?").exchanges
        record = json.loads(exported([replace(exchange, given=Filters(year_from=2018))], "json", library.settings))
    [item] = record["exchanges"]
    assert item["question"] == "What is BERT?"
    assert item["filters"]["year_from"] == 2018
    assert item["answer"]["text"] == exchange.answer.text
    assert record["settings"]["retrieval"]["papers"] == 8
    assert item["passages"]
    for passage in item["passages"]:
        assert passage["sha256"] == sha256(passage["text"].encode()).hexdigest()
        assert exchange.answer.sources[0].paper.abstract[passage["start"] : passage["end"]] == passage["text"]


def test_a_record_replayed_over_the_same_library_comes_out_the_same(starter_copy: Path, tmp_path: Path):
    with open_library(starter_copy) as library:
        talk = talked(Chat(library), "What is BERT?", "and on graphs?", "What is the boiling point of lead?")
        (tmp_path / "record.json").write_text(exported(talk.exchanges, "json", library.settings), encoding="utf-8")
    result = CliRunner().invoke(replay, [str(tmp_path / "record.json"), "--library", str(starter_copy)])
    assert result.exit_code == 0, result.output
    assert result.output.count("same: ") == 3


def test_one_answer_of_a_conversation_is_replayed_with_what_came_before_it(starter_copy: Path):
    with open_library(starter_copy) as library:
        talk = talked(Chat(library), "What is BERT?", "How large is it?")
        record = json.loads(exported(talk.exchanges, "json", library.settings, first=1))
        assert [item["question"] for item in record["exchanges"]] == ["How large is it?"]
        [again] = replayed(record, library)
    assert again.differences == ()
    assert "BERT" in again.answer.searched


def test_a_replay_says_what_has_changed(starter_copy: Path, tmp_path: Path):
    with open_library(starter_copy) as library:
        talk = talked(Chat(library), "What is BERT?")
        record = recorded(talk.exchanges, library.settings)
        (tmp_path / "record.json").write_text(json.dumps(record), encoding="utf-8")
        library.remove([talk.exchanges[0].answer.sources[0].paper.id])
    result = CliRunner().invoke(replay, [str(tmp_path / "record.json"), "--json", "--library", str(starter_copy)])
    assert result.exit_code == 1
    assert any("no longer in the library" in line for line in json.loads(result.output)["differences"])


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2, "exchanges": []}', '{"format": 1}'])
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, content: str):
    (tmp_path / "record.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        read_record(tmp_path / "record.json")


def test_a_damaged_record_is_refused_in_one_line(starter_copy: Path):
    with open_library(starter_copy) as library, pytest.raises(InputError):
        list(replayed({"format": 1, "exchanges": [{"exchange": {"question": 7}}]}, library))


@pytest.mark.parametrize("papers", [5, [5], [{}], [{"id": "bert"}]])
def test_a_record_whose_papers_are_damaged_is_refused_in_one_line(starter_copy: Path, papers: object):
    with open_library(starter_copy) as library:
        record = recorded(talked(Chat(library), "What is BERT?").exchanges, library.settings)
        record["exchanges"][0]["papers"] = papers
        with pytest.raises(InputError, match="damaged"):
            list(replayed(record, library))


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/v1", "http://127.0.0.1.evil.example/v1", "http://127.0.0.1@evil.example/v1", "http://["],
)
def test_a_record_cannot_have_the_key_sent_to_an_address_that_the_user_did_not_name(address: str, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    record = {"settings": {"llm": {"kind": "openai", "base_url": address}}}
    with pytest.raises(InputError, match="if you trust it, set OPENAI_BASE_URL"):
        settings_of(record)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    assert settings_of(record) == record["settings"]


@pytest.mark.parametrize("llm", [{"kind": "openai"}, {"kind": "openai-like", "base_url": "http://localhost:11434/v1"}])
def test_a_record_of_the_usual_servers_is_replayed(llm: dict[str, str]):
    assert settings_of({"settings": {"llm": llm}}) == {"llm": llm}


@pytest.mark.parametrize("settings", [5, [], {"llm": 5}, "llm"])
def test_settings_that_are_none_are_refused_in_one_line(settings: object):
    with pytest.raises(InputError, match="damaged"):
        settings_of({"settings": settings})


def test_a_password_in_an_address_is_in_no_record():
    given = {"kind": "openai-like", "base_url": "https://me:secret@models.example/v1?key=abc"}
    told = recorded((), Settings.model_validate({"llm": given}))["settings"]["llm"]
    assert told["base_url"] == "https://models.example/v1"


def test_a_whole_conversation_is_exported_under_the_name_of_its_first_question(starter_copy: Path):
    with open_library(starter_copy) as library:
        talk = talked(Chat(library), "What is BERT?", "What is GloVe?")
        text = exported(talk.exchanges, "md", library.settings)
    assert text.index("## What is BERT?") < text.index("## What is GloVe?")
    assert file_name(talk.exchanges, "md") == "citewise-what-is-bert.md"
    assert file_name([], "bib") == "citewise.bib"


def votes(library_folder: Path) -> list[tuple[str, str, str, dict]]:
    rows = sqlite3.connect(library_folder / "conversations.sqlite").execute(
        "SELECT question, verdict, note, answer_record_json FROM feedback ORDER BY at"
    )
    return [(question, verdict, note, json.loads(record)) for question, verdict, note, record in rows]


def rated(chat: Chat, talk: Talk, rating: int, remark: str = "") -> Talk:
    chat.judge(talk, len(talk.exchanges) - 1, "", rating=rating, remark=remark)
    return talk


def test_a_vote_is_kept_with_its_note_and_record_and_the_last_one_counts(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        talk = rated(chat, talked(chat, "What is BERT?", "How large is it?"), 1)
        talk = rated(chat, talk, -1, "the size is missing")
        [(question, verdict, note, record)] = votes(starter_copy)
        assert (question, verdict, note) == ("How large is it?", "down", "the size is missing")
        assert [item["question"] for item in record["exchanges"]] == ["How large is it?"]
        assert [item["question"] for item in record["before"]] == ["What is BERT?"]
        assert chat.history.load(talk.id, owner="")[-1].remark == "the size is missing"
        chat.history.delete(talk.id, owner="")
        assert len(votes(starter_copy)) == 1, "feedback outlives its conversation"
        rated(chat, talk, 0)
    assert votes(starter_copy) == []


def test_uploads_of_one_name_are_kept_apart_and_the_same_content_once(tmp_path: Path):
    first, second = tmp_path / "a" / "papers.jsonl.gz", tmp_path / "b" / "papers.jsonl.gz"
    for place, content in ((first, b"one"), (second, b"two")):
        place.parent.mkdir()
        place.write_bytes(content)
    kept = stored([first, second, first], tmp_path / "uploads")
    assert [Path(path).name for path in kept] == ["papers.jsonl.gz", "papers (2).jsonl.gz", "papers.jsonl.gz"]
    assert [Path(path).read_bytes() for path in kept] == [b"one", b"two", b"one"]


def test_two_uploads_of_one_name_both_arrive(tmp_path: Path):
    paths = []
    for name, title in (("a", "Glowworm: Night Lights"), ("b", "Tidemark: Forecasting Tides")):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "papers.json")
        paths[-1].write_text(json.dumps({"title": title, "abstract": ABSTRACT}), encoding="utf-8")
    with open_library(tmp_path / "library") as library:
        list(Shelf(library, local=True).add(Given([str(path) for path in paths]), session="s"))
        assert {paper.title for paper in library.papers()} == {"Glowworm: Night Lights", "Tidemark: Forecasting Tides"}


def test_a_newer_version_of_a_file_changes_its_papers_and_drops_what_it_no_longer_holds(tmp_path: Path):
    file = tmp_path / "papers.jsonl"
    old = [
        {"id": "a", "title": "Glowworm", "abstract": f"{ABSTRACT} Wrong."},
        {"id": "b", "title": "Tides", "abstract": "Tides rise."},
    ]
    file.write_text("".join(json.dumps(paper) + "\n" for paper in old), encoding="utf-8")
    with open_library(tmp_path / "library") as library:
        shelf = Shelf(library, local=True)
        list(shelf.add(Given([str(file)]), session="s"))
        file.write_text(json.dumps({"id": "a", "title": "Glowworm", "abstract": ABSTRACT}) + "\n", encoding="utf-8")
        list(shelf.add(Given([str(file)], replace=True), session="s"))
        assert [(paper.id, paper.abstract) for paper in library.papers()] == [("a", ABSTRACT)]


def test_the_full_report_can_be_saved_by_the_one_who_ingested(tmp_path: Path):
    with open_library(tmp_path / "library") as library:
        shelf = Shelf(library, local=True)
        list(shelf.add(Given(text=f"@misc{{a, title={{Glowworm}}, abstract={{{ABSTRACT}}}}}"), session="s"))
        assert json.loads(shelf.report("s") or "")["added"] == 1
        assert shelf.report("t") is None


def test_what_an_answer_cost_is_shown_where_the_price_is_known():
    answer = Answer("q", "t", mode="llm", model="gpt-x", usage={"prompt": 1000, "completion": 200}, cost=0.004)
    html = render.turn_html(Exchange("q", answer, cost=0.004), 0)
    assert "1,200 tokens (1,000 read, 200 written)" in html
    assert "$0.004" in html
    unknown = render.turn_html(Exchange("q", replace(answer, cost=None)), 0)
    assert "$" not in unknown
    assert "cost unknown" in unknown
    assert "cost" not in render.turn_html(Exchange("q", Answer("q", "t")), 0)


def test_a_conversation_shows_and_records_what_it_took_together():
    paid = Answer("q", "t", mode="llm", model="gpt-x", usage={"prompt": 1000, "completion": 200}, cost=0.3)
    exchanges = [
        Exchange("q", paid, cost=0.3),
        Exchange("r", Answer("r", "u")),
        Exchange("s", partial="half", cost=0.25),
        Exchange("t", replace(paid, cost=None)),
    ]
    told = "2,400 tokens · $0.55 · 1 answer of unknown cost"
    assert told in render.conversation_html(exchanges, "c")
    assert "This conversation" not in render.conversation_html(exchanges[:1], "c")
    assert "This conversation" not in render.conversation_html(exchanges[1:2] * 2, "c")
    record = json.loads(exported(exchanges, "json", Settings()))
    assert record["spent"] == {"tokens": 2400, "cost": 0.55, "unpriced": 1}
    assert json.loads(exported(exchanges[1:2], "json", Settings()))["spent"] is None
    assert "*2,400 tokens, $0.55 and 1 of unknown cost*" in exported(exchanges, "md", Settings())
    assert "tokens" not in exported(exchanges[1:2], "md", Settings())
