"""Questions in other languages: told apart from English, and answered with why not."""

import pytest

from rag import Library
from rag.languages import language_of


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Wie viele Parameter hat GPT-3?", "German"),
        ("Welche Arbeiten behandeln Retrieval?", "German"),
        ("Qu'est-ce que BERT ?", "French"),
        ("¿Qué es el aprendizaje por refuerzo?", "Spanish"),
        ("Quante persone hanno scritto BERT?", "Italian"),
        ("Hoe werkt dropout?", "Dutch"),
        ("Combien de paramètres a GPT-3 ?", "French"),
        ("注意力机制 Transformer", "Chinese"),
        ("What does 注意力 mean in these papers?", None),
        ("トランスフォーマーとは何ですか", "Japanese"),
        ("What is die casting?", None),
        ("LA protein", None),
        ("Does LoRA do well on a large model?", None),
        ("El Nino", None),
        ("", None),
    ],
)
def test_a_language_is_named_only_where_it_is_sure(question, language):
    assert language_of(question) == language


@pytest.mark.parametrize(
    "question", ["Wie viele Parameter hat GPT-3?", "什么是注意力机制?", "Comment fonctionne dropout ?"]
)
def test_a_question_in_another_language_is_told_why_it_is_not_answered_and_what_helps(starter: Library, question: str):
    answer = starter.ask(question)
    assert answer.abstained
    told = " ".join([answer.text, *answer.notes])
    assert f"seems to be in {language_of(question)}" in told
    assert "`embedding` and `llm` in a settings file" in told
    assert "was read as" not in told
    assert "mentions “Wie”" not in told


@pytest.mark.parametrize("question", ["Quels articles parlent de la recherche ?", "Wie funktioniert Übersetzung?"])
def test_no_papers_are_called_near_to_words_that_cannot_be_read(starter: Library, question: str):
    answer = starter.ask(question)
    assert answer.sources == ()
    assert "nearest" not in answer.text


def test_a_name_is_found_in_whatever_language(starter: Library):
    answer = starter.ask("Qu'est-ce que BERT ?")
    assert [source.paper.title.partition(":")[0] for source in answer.sources] == ["BERT"]
    assert "seems to be in French" in answer.notes[0]


def test_an_english_question_hears_nothing_of_languages(starter: Library):
    assert not starter.ask("What is dropout?").notes
