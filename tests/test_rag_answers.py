"""Extractive and metadata answers, the sentences they are made of, and follow-up questions."""

import re
from dataclasses import replace

import pytest

from rag import Answer, Filters, Source, Turn
from rag.answerers.base import Draft, Request
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.metadata import MetadataAnswerer
from rag.answerers.polish import paper_name, polish, third_person, trim_opening
from rag.answers import Delta, Hit, Quote
from rag.citations import DraftSentence
from rag.conversation import about, by_rules
from rag.encoder import StaticEncoder
from rag.evidence import score_sentences
from rag.markers import bracketed, numbers_in, without_markers
from rag.papers import Paper
from rag.questions import understand

ALPHA = Paper(
    "alpha",
    "AlphaNet: Fast Image Classifiers",
    "Image classifiers are slow. However, recent networks need many layers. To address this issue, in this"
    " paper, we propose"
    " AlphaNet, a network that replaces half of its layers by lookups. Our method reaches 91.5% accuracy on"
    " CIFAR-10 and is"
    " 3 times faster than ResNet-50. It does not need any labels for pre-training. This is achieved by"
    " hashing activations."
    " Code is available at https://github.com/alpha/net.",
    authors=("Ada Lovelace", "Alan Turing"),
    n_authors=2,
    date="2024-11-27",
    year=2024,
    venue="ICML",
    url="https://arxiv.org/abs/2411.00001",
    code_urls=("https://github.com/alpha/net",),
    upvotes=12,
)
BETA = Paper(
    "beta",
    "Slow but Sure: A Study of Deep Image Classifiers",
    "Depth is costly. We study image classifiers with up to 1,000 layers on CIFAR-10. We find that accuracy"
    " stops growing after"
    " 200 layers. Moreover, we show that training time grows linearly with depth.",
    n_authors=1,
    date="--03-11",
)
GAMMA = Paper("gamma", "Gamma Rays", "Gamma rays are absorbed by lead. The absorption grows with thickness.")
PAPERS = (ALPHA, BETA, GAMMA)


class Counts:
    """Word statistics of the three papers."""

    def document_frequency(self, words):
        return {word: sum(word.lower() in paper.abstract.lower() for paper in PAPERS) for word in words}

    def count(self):
        return len(PAPERS)


@pytest.fixture(scope="module")
def encoder():
    return StaticEncoder.load()


def request(question, encoder, papers=PAPERS):
    understanding = understand(question)
    sentences = tuple(score_sentences(understanding.topic, papers, encoder=encoder, statistics=Counts()))
    hits = tuple(
        Hit(rank, paper, 1.0 / rank, Quote(paper.abstract[:10], 0, 10)) for rank, paper in enumerate(papers, start=1)
    )
    return Request(question, hits, sentences, understanding)


def drafted(answerer, asked) -> Draft:
    *deltas, draft = answerer.write(asked)
    assert all(isinstance(item, Delta) for item in deltas)
    assert isinstance(draft, Draft)
    return draft


def told(draft):
    return "".join(item.lead + bracketed(item.text) for item in draft.sentences).strip()


# --- sentences that stand alone ---


@pytest.mark.parametrize(
    ("sentence", "trimmed"),
    [
        ("In this paper, we propose X for graphs.", "We propose X for graphs."),
        ("In this work we propose X for graphs.", "We propose X for graphs."),
        ("To address this issue, we propose X for graphs.", "We propose X for graphs."),
        ("To address these challenges, in this paper, we propose X.", "We propose X."),
        ("However, existing models are slow.", "Existing models are slow."),
        ("Moreover, it is fast enough.", "It is fast enough."),
        ("Specifically, GPT-4 is used here.", "GPT-4 is used here."),
        ("To this end, iPhones are used here.", "iPhones are used here."),
        ("Motivated by this observation, we train X.", "We train X."),
        ("Finally, we release the data.", "We release the data."),
        ("Here we show that it holds.", "We show that it holds."),
        ("Firstly, results are good.", "Results are good."),
        ("(2) Empirically, networks agree.", "Empirically, networks agree."),
        ("(Here) it is.", "(Here) it is."),
        ("However fast it is, it fails.", "However fast it is, it fails."),
        ("First-order methods are used widely.", "First-order methods are used widely."),
        ("In this paper.", "In this paper."),
        ("To improve accuracy, models are averaged.", "To improve accuracy, models are averaged."),
        ("Overall, yes.", "Overall, yes."),
        ("Addressing this issue, we introduce X with one layer.", "We introduce X with one layer."),
    ],
)
def test_dangling_openings_are_trimmed(sentence, trimmed):
    assert trim_opening(sentence) == trimmed


@pytest.mark.parametrize(
    ("sentence", "outside"),
    [
        ("We propose X.", "The authors propose X."),
        ("We propose X and we test it.", "The authors propose X and they test it."),
        ("Our results show that we win.", "The authors’ results show that they win."),
        ("This allows us to train faster.", "This allows the authors to train faster."),
        ("We've tested our code.", "The authors have tested their code."),
        ("I think we win.", "I think we win."),
        ("The West is ours.", "The West is the authors’."),
        ("The USA and US-based labs.", "The USA and US-based labs."),
        ("US hospitals took part.", "US hospitals took part."),
        ("The power of the four methods.", "The power of the four methods."),
    ],
)
def test_first_person_is_told_from_outside(sentence, outside):
    assert third_person(sentence) == outside


@pytest.mark.parametrize(
    ("title", "abstract", "name"),
    [
        ("Top2Vec: Distributed Topics", "x", "Top2Vec"),
        ("Agent Attention: On Softmax", "x", "Agent Attention"),
        ("Learning to rank: a survey of methods", "x", None),
        ("A study of pruning", "We propose PruneNet, a network.", "PruneNet"),
        ("A study of pruning", "We study pruning.", None),
    ],
)
def test_name_of_a_paper_is_the_one_it_coins(title, abstract, name):
    assert paper_name(Paper("p", title, abstract)) == name


def test_our_method_gets_the_papers_name():
    assert polish("Our method reaches 91.5% accuracy.", ALPHA).text == "AlphaNet reaches 91.5% accuracy."
    assert polish("Our method reaches 91.5% accuracy.", BETA).text == "The authors’ method reaches 91.5% accuracy."


@pytest.mark.parametrize(
    ("sentence", "dependent"),
    [
        ("It does not need labels.", True),
        ("This is achieved by hashing.", True),
        ("They are trained jointly.", True),
        ("It is well known that depth helps.", False),
        ("In this way, X is solved.", False),
        ("AlphaNet is fast.", False),
        ("By using these features, AlphaNet is fast.", True),
        ("We overcome these challenges by building nets.", True),
        ("We overcome the challenge of depth by building nets.", False),
    ],
)
def test_sentence_that_points_back_is_known(sentence, dependent):
    assert polish(sentence, ALPHA).dependent is dependent


def test_polishing_keeps_numbers_names_and_negation(starter):
    for paper in starter.papers():
        for item in re.split(r"(?<=[.!?])\s+", paper.abstract):
            polished = polish(item, paper).text
            assert re.findall(r"\d[\d.,]*", polished) == re.findall(r"\d[\d.,]*", item)
            for word in ("not", "no", "never", "without", "cannot"):
                assert len(re.findall(rf"\b{word}\b", polished)) == len(re.findall(rf"\b{word}\b", item))


# --- extractive answers ---


def test_single_fact_is_answered_from_one_paper_in_few_sentences(encoder):
    draft = drafted(ExtractiveAnswerer(), request("What accuracy does AlphaNet reach on CIFAR-10?", encoder))
    assert draft.abstained is None
    assert "AlphaNet reaches 91.5% accuracy on CIFAR-10" in told(draft)
    assert {numbers_in(item.text) for item in draft.sentences} == {(1,)}
    assert len(draft.sentences) <= 3


def test_each_sentence_ends_with_one_marker_and_knows_its_origin(encoder):
    draft = drafted(ExtractiveAnswerer(), request("How is AlphaNet made fast?", encoder))
    for item in draft.sentences:
        assert re.search(r" \[\d\][.!?]$", bracketed(item.text))
        assert item.origin is not None
        assert ALPHA.abstract[item.origin.start : item.origin.end] == item.origin.text


def test_several_papers_give_a_sentence_each_with_the_paper_named(encoder):
    draft = drafted(ExtractiveAnswerer(), request("Which papers study image classifiers on CIFAR-10?", encoder))
    cited = [numbers_in(item.text)[0] for item in draft.sentences]
    assert cited == [1, 2]
    assert "AlphaNet" in draft.sentences[0].text
    assert "“Slow but Sure: A Study of Deep Image Classifiers”" in draft.sentences[1].text
    assert "Gamma" not in told(draft)


def test_an_answer_from_one_paper_does_not_open_with_also(encoder):
    paper = Paper("p", "On Lakes", "We also measured the depth of forty lakes in winter.")
    draft = drafted(ExtractiveAnswerer(), request("How deep are lakes in winter?", encoder, (paper,)))
    assert told(draft).startswith("In “On Lakes”, the authors measured the depth of forty lakes")


def test_an_open_question_hears_a_second_paper_that_is_as_near(encoder):
    one = Paper("one", "Lake Ice", "Ice on lakes grows thick when the winter is cold.")
    two = Paper("two", "Ice and Winter", "Winter ice on lakes is thin where wind stirs the water.")
    asked = request("How does ice grow on lakes in winter?", encoder, (one, two))
    near = replace(asked, hits=tuple(replace(hit, score=1.0) for hit in asked.hits))
    draft = drafted(ExtractiveAnswerer(), near)
    assert [numbers_in(item.text)[0] for item in draft.sentences] == [1, 2]
    assert "“Ice and Winter”" in draft.sentences[1].text
    far = drafted(ExtractiveAnswerer(), asked)
    assert [numbers_in(item.text)[0] for item in far.sentences] == [1]


@pytest.mark.parametrize(
    ("question", "opening"),
    [
        ("BERT", "BERT pre-trains a Transformer encoder"),
        ("What is SPLADE?", "SPLADE represents queries and documents as sparse vectors"),
        ("<script>alert(1)</script> What is a random forest?", "A random forest is a collection of decision trees"),
        ("How does knowledge distillation work?", "Knowledge distillation trains a small model"),
        ("What is the idea behind HyDE?", "Hypothetical Document Embeddings (HyDE) is a method"),
        ("How large is LLaMA?", "LLaMA is a family of language models with 7, 13, 33 and 65 billion"),
        ("What are the limitations of LLaMA?", "Compared with Chinchilla and PaLM, LLaMA-65B lags on MMLU"),
        ("What is the oldest paper on word vectors?", "From “Efficient Estimation of Word"),
    ],
)
def test_an_answer_opens_with_what_was_asked(starter, question, opening):
    assert starter.ask(question).text.startswith(opening)


def test_papers_that_mention_a_name_are_all_listed(starter):
    answer = starter.ask("Which papers mention MNIST?")
    assert len(answer.sources) >= 5
    assert all("MNIST" in sentence.text for sentence in answer.sentences)


def test_what_is_compared_by_a_number_is_told_of_both(starter):
    answer = starter.ask("Which model has more parameters, GPT-3 or LLaMA?").text
    assert "175 billion parameters" in answer
    assert "65 billion parameters" in answer


def test_papers_by_date_are_told_with_their_dates(starter):
    answer = starter.ask("What is the newest paper about language models?")
    dates = [source.paper.date or "" for source in answer.sources]
    assert dates == sorted(dates, reverse=True)
    assert "(27 February 2023)" in answer.text
    assert any("newest come first" in note for note in answer.notes)
    assert all(sentence.supported for sentence in answer.sentences)


def test_as_many_papers_are_named_as_were_asked_for(starter):
    assert len(starter.ask("Name two papers on retrieval").sources) == 2


@pytest.mark.parametrize(
    ("question", "said"),
    [("Which model has the most parameters?", True), ("What is the best BLEU of the Transformer?", False)],
)
def test_a_superlative_over_all_papers_is_said_not_to_be_compared(starter, question, said):
    assert any("was not compared" in note for note in starter.ask(question).notes) == said


def test_no_sentence_is_said_twice(encoder):
    twin = Paper("twin", "Another Title", ALPHA.abstract)
    asked = request("Which papers propose fast image classifiers?", encoder, (ALPHA, twin, BETA))
    draft = drafted(ExtractiveAnswerer(), asked)
    bodies = [item.origin.text for item in draft.sentences]
    assert len(bodies) == len(set(bodies))


def test_answer_does_not_open_with_a_dangling_word(encoder):
    for question in (
        "How is that achieved in AlphaNet?",
        "Does AlphaNet need labels?",
        "Is AlphaNet achieved by hashing?",
    ):
        draft = drafted(ExtractiveAnswerer(), request(question, encoder))
        first = without_markers(draft.sentences[0].text)
        assert not re.match(r"(?:It|This|They|However|Moreover|In this paper)\b", first), first
        assert "we " not in told(draft).lower().split()


def test_where_the_code_is_is_said_only_when_asked(encoder):
    quiet = told(drafted(ExtractiveAnswerer(), request("How fast is AlphaNet?", encoder)))
    asked = told(drafted(ExtractiveAnswerer(), request("Is the AlphaNet code open source on GitHub?", encoder)))
    assert "github" not in quiet
    assert "https://github.com/alpha/net" in asked


def test_deltas_are_the_sentences(encoder):
    *deltas, draft = ExtractiveAnswerer().write(request("How fast is AlphaNet?", encoder))
    assert "".join(delta.text for delta in deltas) == told(draft)


def test_at_most_max_sentences(encoder):
    asked = request("Which papers study image classifiers on CIFAR-10?", encoder)
    assert len(drafted(ExtractiveAnswerer(max_sentences=1), asked).sentences) == 1


def test_nothing_found_abstains(encoder):
    draft = drafted(ExtractiveAnswerer(), request("anything", encoder, ()))
    assert draft.sentences == ()
    assert draft.abstained


def test_same_request_gives_the_same_answer(encoder):
    first, second = (told(drafted(ExtractiveAnswerer(), request("How fast is AlphaNet?", encoder))) for _ in range(2))
    assert first == second


# --- metadata answers ---


@pytest.mark.parametrize(
    ("question", "text", "quote"),
    [
        ("When was AlphaNet posted?", "27 November 2024 (2024-11-27)", "Date: 27 Nov 2024"),
        ("In what year was AlphaNet published?", "is from 2024", "Year: 2024"),
        ("Who wrote AlphaNet?", "written by Ada Lovelace and Alan Turing", "Authors: Ada Lovelace, Alan Turing"),
        ("How many authors does AlphaNet have?", "has 2 authors", "Authors: 2"),
        ("How many upvotes does AlphaNet have?", "has 12 upvotes", "Upvotes: 12"),
        ("Where was AlphaNet published?", "ICML", "Venue: ICML"),
        ("What is the link to AlphaNet?", "https://arxiv.org/abs/2411.00001", "Link: https://arxiv.org/abs/2411.00001"),
        ("Where is the code of AlphaNet?", "https://github.com/alpha/net", "Code: https://github.com/alpha/net"),
        ("When was Slow but Sure posted?", "11 March; the year is not recorded", "Date: 11 Mar"),
        ("How many authors does Slow but Sure have?", "has 1 author [", "Authors: 1"),
    ],
)
def test_field_is_answered_with_a_citation(question, text, quote, encoder):
    asked = request(question, encoder)
    assert MetadataAnswerer().applies(asked)
    draft = drafted(MetadataAnswerer(), asked)
    assert text in told(draft)
    assert draft.sentences == (DraftSentence(draft.sentences[0].text, "", Quote(quote, 0, 0)),)


def test_two_fields_are_answered_in_two_sentences(encoder):
    draft = drafted(MetadataAnswerer(), request("How many authors wrote AlphaNet and when was it posted?", encoder))
    assert [item.origin.text for item in draft.sentences] == ["Authors: 2", "Date: 27 Nov 2024"]
    assert told(draft).count("AlphaNet") == 1


def test_of_two_fields_the_unknown_one_is_said_in_a_note(encoder):
    draft = drafted(MetadataAnswerer(), request("Who wrote Slow but Sure and when?", encoder))
    assert "11 March" in told(draft)
    assert "does not name its authors" in draft.notes[0]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("In what year was Slow but Sure published?", "11 March without a year"),
        ("Who wrote Slow but Sure?", "does not name its authors, it only says that there is 1"),
        ("How many upvotes does Slow but Sure have?", "does not hold its upvotes"),
        ("Where was Gamma Rays published?", "does not hold its venue"),
        ("When was Gamma Rays posted?", "does not hold its date"),
    ],
)
def test_unknown_field_is_said_to_be_unknown(question, reason, encoder):
    draft = drafted(MetadataAnswerer(), request(question, encoder))
    assert draft.sentences == ()
    assert reason in draft.abstained
    assert not re.search(r"\b(?:19|20)\d\d\b", draft.abstained)


@pytest.mark.parametrize(
    "question",
    [
        "When was Delta posted?",
        "How fast is AlphaNet?",
        "Where can I find a good introduction to physics?",
        "Who wrote it?",
    ],
)
def test_other_questions_are_left_to_the_other_answerers(question, encoder):
    assert not MetadataAnswerer().applies(request(question, encoder))


# --- follow-up questions ---


def turn(question, papers, abstained=None):
    sources = tuple(Source(marker, paper, 1.0) for marker, paper in enumerate(papers, start=1))
    return Turn(question, Answer(question, "text", sources=sources, searched=question, abstained=abstained))


ONE = [turn("How does AlphaNet classify images?", [ALPHA])]
MANY = [turn("Which papers classify images?", [ALPHA, BETA, GAMMA])]


@pytest.mark.parametrize(
    ("question", "history", "searched", "only"),
    [
        ("What is Top2Vec?", [], "What is Top2Vec?", ()),
        ("What is Top2Vec?", ONE, "What is Top2Vec?", ()),
        ("what about its accuracy?", ONE, "what about AlphaNet’s accuracy?", ("alpha",)),
        ("Does it need labels?", ONE, "Does AlphaNet need labels?", ("alpha",)),
        ("who are the authors?", ONE, "who are the authors of AlphaNet?", ("alpha",)),
        ("and on graphs?", ONE, "How does AlphaNet classify images on graphs?", ()),
        ("why?", ONE, "How does AlphaNet classify images?", ("alpha",)),
        ("which of these has code?", MANY, "which of these has code?", ("alpha", "beta", "gamma")),
        ("the second one", MANY, "Slow but Sure", ("beta",)),
        ("when was the third posted?", MANY, "when was Gamma Rays posted?", ("gamma",)),
        ("compare the second with the first", MANY, "compare Slow but Sure with AlphaNet", ("beta", "alpha")),
        ("What does [2] say about depth?", MANY, "What does Slow but Sure say about depth?", ("beta",)),
        ("the last one", MANY, "Gamma Rays", ("gamma",)),
        ("the seventh one", MANY, "the seventh one", ()),
        ("How many layers?", ONE, "How many layers?", ("alpha",)),
        ("On which data?", MANY, "On which data?", ("alpha", "beta", "gamma")),
        ("How many papers?", ONE, "How many papers?", ()),
        ("When?", ONE, "When was AlphaNet published?", ("alpha",)),
        ("who?", ONE, "Who wrote AlphaNet?", ("alpha",)),
        ("How does it compare to BetaNet?", ONE, "How does AlphaNet compare to BetaNet?", ()),
        ("how many of them are from 2024?", MANY, "how many papers are from 2024?", ("alpha", "beta", "gamma")),
        ("which ones have code?", MANY, "which papers have code?", ("alpha", "beta", "gamma")),
        ("why is it better?", ONE, "why is AlphaNet better?", ("alpha",)),
        ("is it better to prune tokens?", ONE, "is it better to prune tokens?", ()),
        ("which of the two is older?", MANY, "Which is the oldest paper?", ("alpha", "beta", "gamma")),
        ("Which of them came out later?", MANY, "Which is the newest paper?", ("alpha", "beta", "gamma")),
        ("What was the first model to beat humans?", MANY, "What was the first model to beat humans?", ()),
        ("Is it possible to prune tokens?", ONE, "Is it possible to prune tokens?", ()),
        (
            "When a model is quantized, does it lose accuracy?",
            ONE,
            "When a model is quantized, does it lose accuracy?",
            (),
        ),
    ],
)
def test_follow_ups_are_made_whole(question, history, searched, only):
    condensed = by_rules(question, Filters(), history)
    assert (condensed.question, condensed.filters.only) == (searched, only)


def test_others_leave_out_what_was_shown():
    condensed = by_rules("any others?", Filters(), MANY)
    assert condensed.question == "Which papers classify images?"
    assert condensed.filters.exclude == ("alpha", "beta", "gamma")


@pytest.mark.parametrize("question", ["any similar papers?", "any others?", "more like this"])
def test_papers_like_the_one_that_was_asked_for_by_name_are_on_its_subject(question):
    condensed = by_rules(question, Filters(), ONE)
    assert condensed.question == "Which papers are about Fast Image Classifiers?"
    assert condensed.filters.exclude == ("alpha",)


@pytest.mark.parametrize(
    "question", ["what else did they write?", "other papers by the same authors", "what else by them?"]
)
def test_what_else_the_authors_wrote_is_found_by_their_names(question):
    condensed = by_rules(question, Filters(), ONE)
    assert condensed.filters == Filters(authors=("Ada Lovelace", "Alan Turing"), exclude=("alpha",))
    assert understand(condensed.question).library.wish == "list"


def test_a_turn_that_was_no_question_about_papers_is_passed_over():
    declined = Turn("hello", Answer("hello", "text", searched="hello", abstained="that is no question"))
    condensed = by_rules("Does it need labels?", Filters(), [*ONE, declined])
    assert (condensed.question, condensed.filters.only) == ("Does AlphaNet need labels?", ("alpha",))


def test_after_an_abstention_about_one_paper_it_is_still_that_paper():
    [asked] = [turn("How fast is AlphaNet?", [ALPHA], abstained="it gives no number")]
    narrowed = Turn(asked.question, replace(asked.answer, filters=Filters(only=("alpha",))))
    assert by_rules("who wrote it?", Filters(), [*ONE, narrowed]).filters.only == ("alpha",)


def test_the_first_counts_the_papers_of_the_last_list_and_asks_again_what_was_asked_of_another():
    history = [*MANY, turn("the second one: how many layers?", [BETA])]
    condensed = by_rules("and the first?", Filters(), history)
    assert condensed.filters.only == ("alpha",)
    assert "how many layers" in condensed.question
    assert "AlphaNet" in condensed.question


def test_after_an_abstention_a_pronoun_means_the_topic():
    history = [turn("How does OmegaNet classify images?", [ALPHA, BETA], abstained="nothing on OmegaNet")]
    condensed = by_rules("Does it need labels?", Filters(), history)
    assert condensed.filters.only == ()
    assert "OmegaNet" in condensed.question


def test_given_filters_are_kept_and_never_widened():
    given = Filters(year_from=2020, only=("beta", "gamma"))
    condensed = by_rules("which of these has code?", given, MANY)
    assert condensed.filters == given


@pytest.mark.parametrize(
    ("question", "searched", "only"),
    [
        ("which of these has code?", "which of these has code?", ("alpha", "beta", "gamma")),
        ("compare the second with the first", "compare Slow but Sure with AlphaNet", ("beta", "alpha")),
        ("what does it need?", "what does Slow but Sure need?", ("beta",)),
    ],
)
def test_after_ask_only_this_paper_these_are_still_the_last_answers_and_it_is_the_chosen_one(question, searched, only):
    condensed = by_rules(question, Filters(only=("beta",)), MANY)
    assert (condensed.question, condensed.filters.only) == (searched, only)


@pytest.mark.parametrize(
    ("question", "searched"),
    [
        ("What does it do?", "What does AlphaNet do?"),
        ("What is this paper about?", "What is AlphaNet about?"),
        ("Do they need labels?", "Do AlphaNet need labels?"),
        ("What are its limits?", "What are AlphaNet’s limits?"),
        ("What is Top2Vec?", "What is Top2Vec?"),
        ("Is it possible to prune tokens?", "Is it possible to prune tokens?"),
        ("When a model is quantized, does it lose accuracy?", "When a model is quantized, does it lose accuracy?"),
    ],
)
def test_a_pronoun_means_the_one_paper_that_was_chosen(question, searched):
    assert about(question, ALPHA) == searched


def test_a_chosen_paper_that_was_not_in_the_last_answer_is_not_called_by_another_ones_name():
    given = Filters(only=("elsewhere",))
    condensed = by_rules("what does it need?", given, MANY)
    assert (condensed.question, condensed.filters) == ("what does it need?", given)
