"""Papers of an institution: heard, said to be unrecorded, and the rest of the question answered."""

import pytest

from rag import Filters, Library
from rag.questions import understand


@pytest.mark.parametrize(
    ("question", "who", "topic"),
    [
        ("papers from Google about pruning", "Google", "papers about pruning"),
        ("papers by DeepMind on reinforcement learning", "DeepMind", "papers on reinforcement learning"),
        ("MIT's papers on robots", "MIT", "papers on robots"),
        ("Google papers about search", "Google", "papers about search"),
        ("Which papers from Ghent University study graphs?", "Ghent University", "Which papers study graphs?"),
        ("papers by authors from the University of Toronto on vision", "University of Toronto", "papers on vision"),
        ("What has OpenAI published on language models?", "OpenAI", "papers on language models?"),
        ("Which papers about QA have authors from Facebook?", "Facebook", "Which papers about QA?"),
        ("papers on graph pruning from Stanford", "Stanford", "papers on graph pruning"),
        ("papers from 2019 by Google on speech", "Google", "papers on speech"),
        ("Which papers from Google do not use attention?", "Google", "Which papers do not use attention?"),
    ],
)
def test_an_institution_is_heard_and_leaves_the_topic(question, who, topic):
    found = understand(question)
    assert found.origin is not None
    assert (found.origin.who, found.origin.sure, found.topic) == (who, True, topic)
    assert found.filters.authors == ()


@pytest.mark.parametrize(
    "question",
    [
        "papers from ICLR about pruning",
        "papers from May about retrieval",
        "papers from Google Scholar about pruning",
        "papers from arXiv about pruning",
        "papers by Yann LeCun about digits",
        "results from ImageNet",
        "learning from pixels",
        "papers on sentiment in reviews from Amazon",
        "papers on the model developed by DeepMind",
        "Which papers learn from Google search logs?",
        "meta studies on sleep",
        "How does Google rank pages?",
        "Does Google Translate use attention?",
        "papers from Google",
        "Who wrote Papers from Google about Pruning?",
    ],
)
def test_what_restricts_to_no_institution_is_not_taken_for_that(question):
    assert understand(question).origin is None


@pytest.mark.parametrize(
    "question", ["papers from Google about dropout", "papers by DeepMind on dropout", "Stanford's papers on dropout"]
)
def test_the_topic_is_answered_with_one_note_that_records_hold_no_institutions(starter: Library, question: str):
    answer = starter.ask(question)
    assert answer.abstained is None
    assert answer.sources[0].paper.title.startswith("Dropout")
    assert [note for note in answer.notes if "where authors work" in note] == [answer.notes[0]]
    assert understand(question).origin.who in answer.notes[0]


def test_papers_from_a_person_are_those_of_that_author(starter: Library):
    answer = starter.ask("papers from Vaswani about attention")
    assert answer.filters == Filters(authors=("Vaswani",))
    assert [source.paper.title for source in answer.sources] == ["Attention Is All You Need"]
    assert answer.notes == ()


def test_papers_from_nobody_known_are_said_to_be_from_anywhere(starter: Library):
    answer = starter.ask("papers from Cerebras about dropout")
    assert answer.abstained is None
    assert "No author and no venue in this library is called “Cerebras”" in answer.notes[0]
