"""Markers, agreement of details, and the support of sentences by abstracts."""

import json
from pathlib import Path

import pytest

from rag.agreement import agreement
from rag.answers import Quote
from rag.citations import DraftSentence, SupportScorer, check, split_draft
from rag.encoder import StaticEncoder
from rag.markers import append_marker, bracketed, canonical, find_markers, numbers_in, renumber
from rag.papers import Paper
from tests.support_pairs import PAIRS

STARTER = Path(__file__).parents[1] / "rag" / "starter" / "papers.jsonl"
FIRST = Paper(
    "p1", "Alpha: A Fast Network", "We present Alpha, a fast network. Alpha has 12 layers. It needs no labels."
)
SECOND = Paper("p2", "A Study of Beta", "Beta is slow. However, Beta reaches 91.5% accuracy on CIFAR-10.")


@pytest.fixture(scope="module")
def encoder():
    return StaticEncoder.load()


@pytest.fixture(scope="module")
def papers():
    rows = [json.loads(line) for line in STARTER.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: Paper(row["id"], row["title"], row["abstract"]) for row in rows}


def checked(text, papers, encoder):
    return check(split_draft(canonical(text, len(papers))), papers, encoder=encoder, min_support=0.5)


# --- markers ---


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It works [1].", "It works [1]."),
        ("It works. [1] So does this.[2]", "It works [1]. So does this [2]."),
        ("Both work [1,2].", "Both work [1][2]."),
        ("All work [1, 3-5].", "All work [1][3][4][5]."),
        ("All work [1–3].", "All work [1][2][3]."),
        ("Both work [1][2].", "Both work [1][2]."),
        ("Both work [1; 2].", "Both work [1][2]."),
        ("It works【2】.", "It works[2]."),
        ("It works【3†L1-L2】.", "It works[3]."),
        ("It works [^1].", "It works [1]."),
        ("It works [Source 2].", "It works [2]."),
        ("It works (source 2).", "It works [2]."),
        ("It works (2).", "It works [2]."),
        ("It works [[1]].", "It works [1]."),
        ("It works [Smith 2020].", "It works."),
        ("It works [Smith et al., 2020; Lee 2019].", "It works."),
        ("It works [citation needed].", "It works."),
        ("It works [9].", "It works."),
        ("It works [1, 9].", "It works [1]."),
        ("The range is [0, 1].", "The range is [0, 1]."),
        ("It has parts: (1) an encoder and (2) a decoder.", "It has parts: (1) an encoder and (2) a decoder."),
        ("See Eq. (2).", "See Eq. (2)."),
        ("The [MASK] token is predicted.", "The [MASK] token is predicted."),
        ("In 2020 (2020) it worked [1].", "In 2020 (2020) it worked [1]."),
    ],
)
def test_every_kind_of_marker_becomes_one_kind(text, shown):
    assert bracketed(canonical(text, 5)) == shown


def test_number_in_round_brackets_past_the_sources_is_text():
    assert find_markers("It ran for weeks (12).", 5) == []


def test_hidden_characters_cannot_forge_markers():
    assert numbers_in(canonical("It works \ue0001\ue001.", 5)) == ()


def test_renumbering_drops_repeats_in_a_row():
    assert renumber(canonical("A [3][3] and B [2].", 5), {3: 1, 2: 2}) == "A [1] and B [2]."


@pytest.mark.parametrize(
    ("sentence", "marked"),
    [("It is fast.", "It is fast [2]."), ("Is it?", "Is it [2]?"), ("It is", "It is [2]."), ('"Yes."', '"Yes [2]."')],
)
def test_marker_stands_before_the_full_stop(sentence, marked):
    assert bracketed(append_marker(sentence, 2)) == marked


# --- splitting and checking a draft ---


def test_markers_are_renumbered_in_reading_order(encoder):
    answer = checked("Beta reaches 91.5% accuracy on CIFAR-10 [2]. Alpha has 12 layers [1].", [FIRST, SECOND], encoder)
    assert answer.text == "Beta reaches 91.5% accuracy on CIFAR-10 [1]. Alpha has 12 layers [2]."
    assert answer.order == (2, 1)
    assert [(item.marker, item.paper_id) for item in answer.citations] == [(1, "p2"), (2, "p1")]


def test_quote_is_the_supporting_stretch_with_exact_offsets(encoder):
    citation = checked("The network Alpha has twelve layers [1].", [FIRST], encoder).citations[0]
    assert citation.quote == "Alpha has 12 layers."
    assert FIRST.abstract[citation.start : citation.end] == citation.quote
    assert citation.supported


def test_two_neighbouring_sentences_can_support_together(encoder):
    citation = checked("Alpha has 12 layers and needs no labels [1].", [FIRST], encoder).citations[0]
    assert citation.quote == "Alpha has 12 layers. It needs no labels."
    assert FIRST.abstract[citation.start : citation.end] == citation.quote
    assert citation.supported


def test_unsupported_sentence_is_marked_and_kept(encoder):
    answer = checked("Alpha has 12 layers [1]. Alpha was trained on moon rocks by NASA [1].", [FIRST], encoder)
    assert [sentence.supported for sentence in answer.sentences] == [True, False]
    assert "moon rocks" in answer.text


def test_sentence_without_a_citation_is_unsupported(encoder):
    answer = checked("Alpha has 12 layers. Beta is slow [2].", [FIRST, SECOND], encoder)
    assert [sentence.supported for sentence in answer.sentences] == [False, True]
    assert answer.sentences[0].markers == ()


def test_dangling_markers_are_never_shown(encoder):
    answer = checked("Alpha has 12 layers [1][7]. Beta is slow [12].", [FIRST, SECOND], encoder)
    assert "[7]" not in answer.text
    assert "[12]" not in answer.text
    assert answer.order == (1,)


def test_bullets_and_paragraphs_survive(encoder):
    answer = checked(
        "Two networks:\n- Alpha has 12 layers [1].\n- Beta is slow [2].\n\nThat is all.", [FIRST, SECOND], encoder
    )
    assert answer.text == "Two networks:\n- Alpha has 12 layers [1].\n- Beta is slow [2].\n\nThat is all."


def test_cut_sentence_is_compared_with_what_it_was_cut_from(encoder):
    origin = Quote("However, Beta reaches 91.5% accuracy on CIFAR-10.", 14, 63)
    assert SECOND.abstract[origin.start : origin.end] == origin.text
    draft = [DraftSentence(append_marker("Beta reaches 91.5% accuracy on CIFAR-10.", 1), "", origin)]
    answer = check(draft, [SECOND], encoder=encoder, min_support=0.5)
    assert answer.citations[0].support == pytest.approx(1.0)
    assert (answer.citations[0].start, answer.citations[0].end) == (14, 63)


def test_metadata_citation_has_no_offsets(encoder):
    draft = [DraftSentence(append_marker("“A Study of Beta” is from 2021.", 1), "", Quote("Year: 2021", 0, 0))]
    citation = check(draft, [SECOND], encoder=encoder, min_support=0.5).citations[0]
    assert (citation.start, citation.end, citation.quote, citation.supported) == (0, 0, "Year: 2021", True)


def test_paper_without_an_abstract_supports_nothing(encoder):
    answer = checked("Gamma is fast [1].", [Paper("p3", "Gamma", "")], encoder)
    assert not answer.citations[0].supported


@pytest.mark.parametrize("text", ["", "   ", "[1]", "[1].", "...", "\n\n- \n"])
def test_any_text_can_be_checked(text, encoder):
    assert checked(text, [FIRST], encoder).citations is not None


# --- agreement of details ---


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("It is twice as fast.", "It is 2x faster."),
        ("It has 1.1 billion parameters.", "The model has 1.1B parameters."),
        ("Accuracy rises by 4.5 percent.", "Accuracy improves by 4.5%."),
        ("Accuracy is 3.6%.", "An accuracy of 3.62% is reached."),
        ("It needs 4,000 steps.", "It needs 4000 steps."),
        ("It uses four encoders.", "It uses 4 encoders."),
        ("It is ten times faster.", "It runs 10x faster."),
        ("It needs no stop-word lists.", "It does not require stop-word lists."),
        ("It works without recurrence.", "It drops recurrence and works."),
        ("RL agents learn.", "Reinforcement learning agents learn."),
        ("GPT-4 is used.", "GPT4 is used."),
        ("It reduces noise.", "It removes noise."),
        ("It not only learns but also plans.", "It learns and plans."),
    ],
)
def test_same_details_in_other_words_agree(claim, evidence):
    assert agreement(claim, evidence) == 1.0


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("It is 3 times faster.", "It is 2x faster."),
        ("It has 11 billion parameters.", "The model has 1.1B parameters."),
        ("Accuracy rises by 4.5%.", "Accuracy rises 4.5 times."),
        ("It was tested on CIFAR-100.", "It was tested on CIFAR-10."),
        ("It uses BERT.", "It uses RoBERTa encoders."),
        ("It requires labels.", "It does not require labels."),
        ("It does not scale to graphs.", "It scales to graphs."),
        ("It increases the error of the model.", "It decreases the error of the model."),
        ("Accuracy is lower with dropout.", "Accuracy is higher with dropout."),
        ("Beta outperforms Alpha.", "Alpha outperforms Beta."),
    ],
)
def test_changed_detail_disagrees(claim, evidence):
    assert agreement(claim, evidence) < 0.5


# --- the pairs ---


def test_support_separates_what_is_said_from_what_is_not(encoder, papers):
    scorer = SupportScorer(encoder)
    scored = [(kind, scorer.support(sentence, papers[paper]).score) for kind, paper, sentence in PAIRS]
    right = sum((score >= 0.5) == (kind == "faithful") for kind, score in scored)
    good = [score for kind, score in scored if kind == "faithful"]
    bad = [score for kind, score in scored if kind != "faithful"]
    ordered = sum(above > below for above in good for below in bad) / (len(good) * len(bad))
    assert len(PAIRS) >= 60
    assert right / len(PAIRS) >= 0.95
    assert ordered >= 0.96  # the area under the ROC curve


def test_every_sentence_of_an_abstract_is_supported_by_it(encoder, papers):
    scorer = SupportScorer(encoder)
    for paper in list(papers.values())[:20]:
        for sentence in split_draft(paper.abstract):
            support = scorer.support(sentence.text, paper)
            assert support.score > 0.9, sentence.text
            assert support.quote.text == sentence.text


def test_a_wrong_year_is_not_supported(encoder):
    paper = Paper(
        "a", "A Catalogue of Comets", "The catalogue of comets was first published in 2020 by two observatories."
    )
    scorer = SupportScorer(encoder)
    right = scorer.support("The catalogue of comets was published in 2020.", paper)
    wrong = scorer.support("The catalogue of comets was published in 2019.", paper)
    assert right.score > 0.5 > wrong.score


def test_the_records_own_date_behind_a_title_needs_no_support_and_another_one_does(encoder):
    dated = Paper("p1", FIRST.title, FIRST.abstract, year=2024, date="2024-03-01")
    scorer = SupportScorer(encoder)
    told = "From “Alpha: A Fast Network” ({}): Alpha has 12 layers."
    plain = scorer.support("From “Alpha: A Fast Network”: Alpha has 12 layers.", dated).score
    assert scorer.support(told.format("1 March 2024"), dated).score == plain
    assert scorer.support(told.format("1 March 2019"), dated).score < plain
    assert scorer.support(told.format("1 March 2024"), FIRST).score < plain


def test_what_a_title_denies_is_not_taken_for_what_a_sentence_about_the_paper_denies(encoder):
    abstract = (
        "Sorting is slow. We introduce Radix, a network that supplants comparisons with a faster digit-wise step."
    )
    paper = Paper("a", "Sorting Without Comparisons", abstract)
    told = "In “Sorting Without Comparisons”, the authors introduce Radix, which {} comparisons with a digit-wise step."
    scorer = SupportScorer(encoder)
    right, wrong = (scorer.support(told.format(verb), paper) for verb in ("supplants", "does not supplant"))
    assert right.score > 0.5 > wrong.score
