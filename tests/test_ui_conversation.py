"""What happens in a conversation without a browser: stopping, failing, keeping, filters taken back."""

from __future__ import annotations

from pathlib import Path

from rag import Filters, open_library
from ui.conversation import Chat, Shown
from ui.examples import examples
from ui.exchange import Talk
from ui.library_view import Given, Shelf

QUESTION = "What is the Transformer?"


def last(steps):
    return [step for step in steps if step.talk is not None][-1].talk


def test_a_stopped_question_is_kept_without_an_answer(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        steps = chat.ask(QUESTION, Talk(), session="s", owner="")
        next(steps)
        assert "Reading" in (next(steps).live or "")
        chat.stop("s")
        [exchange] = last(steps).exchanges
    assert exchange.answer is None
    assert exchange.problem is None


def test_a_second_question_waits_for_the_first_of_the_same_tab(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        first = chat.ask(QUESTION, Talk(), session="s", owner="")
        next(first)
        next(first)
        assert list(chat.ask(QUESTION, Talk(), session="s", owner="")) == [Shown()], "and changes nothing meanwhile"
        assert len(last(first).exchanges) == 1


def test_a_conversation_that_is_deleted_while_an_answer_is_written_stays_deleted(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        talk = last(chat.ask(QUESTION, Talk(), session="s", owner=""))
        steps = chat.ask(QUESTION, talk, session="s", owner="")
        next(steps)
        chat.leave("s")
        chat.history.delete(talk.id, owner="")
        assert [step.finished for step in steps] == [None]
        assert chat.history.listed(owner="") == []


def test_an_answer_that_was_left_shows_no_draft_again_beside_the_next_one(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        left = chat.ask(QUESTION, Talk(), session="s", owner="")
        next(left)
        assert next(left).live
        chat.leave("s")
        other = chat.ask(QUESTION, Talk(), session="s", owner="")
        next(other)
        assert list(left) == [Shown()], "Gradio shows once more what came last"
        assert len(last(other).exchanges) == 1


def test_what_cannot_be_answered_is_one_visible_line(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        talk = last(chat.ask("x" * 5000, Talk(), session="s", owner=""))
        assert "4,000" in (talk.exchanges[0].problem or "")
        assert 'role="alert"' in chat.finished(talk)


def test_an_unexpected_failure_is_one_visible_line_too(tmp_path: Path):
    class Broken:
        folder = tmp_path

        def stream(self, question, **_):
            raise RuntimeError("a cable came loose")

    chat = Chat(Broken())  # type: ignore[arg-type]
    talk = last(chat.ask(QUESTION, Talk(), session="s", owner=""))
    assert "a cable came loose" in (talk.exchanges[0].problem or "")
    assert list(chat.ask(QUESTION, Talk(), session="s", owner="")), "the tab can ask again"


def test_a_conversation_that_cannot_be_kept_goes_on(starter_copy: Path):
    (starter_copy / "conversations.sqlite").mkdir()
    with open_library(starter_copy) as library:
        talk = last(Chat(library).ask(QUESTION, Talk(), session="s", owner=""))
    assert talk.exchanges[0].answer is not None
    assert talk.id is None


def test_a_heard_filter_taken_back_leaves_the_topic(starter_copy: Path):
    with open_library(starter_copy) as library:
        chat = Chat(library)
        talk = last(chat.ask("Which papers from 2017 are about attention?", Talk(), session="s", owner=""))
        assert talk.exchanges[0].answer.filters == Filters(year_from=2017, year_to=2017)
        question, filters = chat.unheard(talk.exchanges[0], "years", "")
    assert "2017" not in question
    assert "attention" in question
    assert filters == Filters()


def test_example_questions_are_answered_by_the_library(starter_copy: Path):
    with open_library(starter_copy) as library:
        found = examples(library)
        assert 3 <= len(found) <= 5
        assert all(library.ask(question).abstained is None for question in found)


def test_a_cancelled_ingest_says_so_and_a_failed_one_says_why(tmp_path: Path):
    with open_library(tmp_path / "library") as library:
        shelf = Shelf(library, local=True)
        steps = shelf.add(Given(path=str(tmp_path / "nowhere.bib")), session="s")
        assert "nowhere.bib" in list(steps)[-1]
        assert "Choose one or more files" in next(iter(shelf.add(Given(text=" "), session="s")))
        text = "\n".join(f"@misc{{k{n}, title={{Number {n}}}, abstract={{It is {n}.}}}}" for n in range(3000))
        steps = shelf.add(Given(text=text), session="s")
        next(steps)
        shelf.cancel("s")
        assert "Cancelled" in list(steps)[-1]


def test_a_path_is_not_read_for_visitors_from_elsewhere(tmp_path: Path):
    with open_library(tmp_path / "library") as library:
        shelf = Shelf(library, local=False)
        assert "Choose one or more files" in next(iter(shelf.add(Given(path="/etc/passwd"), session="s")))
