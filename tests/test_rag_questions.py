"""What is heard in a question: filters, metadata, names, several papers, the kind of answer."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answers import Filters
from rag.question_filters import described, merged
from rag.questions import understand

NIPS = ("NeurIPS", "NIPS")


@pytest.mark.parametrize(
    ("question", "filters", "topic"),
    [
        ("papers from 2021 about graphs", Filters(year_from=2021, year_to=2021), "papers about graphs"),
        ("papers about graphs since 2020", Filters(year_from=2020), "papers about graphs"),
        ("work on pruning after 2019?", Filters(year_from=2020), "work on pruning?"),
        ("which works before 2019 tackle MNIST", Filters(year_to=2018), "which works tackle MNIST"),
        ("methods for pruning until 2019", Filters(year_to=2019), "methods for pruning"),
        ("pruning between 2018 and 2020", Filters(year_from=2018, year_to=2020), "pruning"),
        ("surveys on RL from 2018 to 2020", Filters(year_from=2018, year_to=2020), "surveys on RL"),
        ("RL papers published in 2017-2019", Filters(year_from=2017, year_to=2019), "RL papers"),
        (
            "In 2022, which papers studied RL?",
            Filters(year_from=2022, year_to=2022),
            "which papers studied RL?",
        ),
        ("2021 papers on vision", Filters(year_from=2021, year_to=2021), "papers on vision"),
        ("GANs from 2019 onwards", Filters(year_from=2019), "GANs"),
        ("papers on GANs from May 2024?", Filters(date_from="2024-05", date_to="2024-05"), "papers on GANs?"),
        ("GAN papers since March 2023", Filters(date_from="2023-03"), "GAN papers"),
        ("What papers did Ada Lovelace co-author?", Filters(authors=("Ada Lovelace",)), "What papers?"),
        ("What was shown at NeurIPS about GANs?", Filters(venues=NIPS), "What was shown about GANs?"),
        (
            "Which bandit papers appeared at ICLR 2023?",
            Filters(venues=("ICLR",), year_from=2023, year_to=2023),
            "Which bandit papers?",
        ),
        (
            "Which ICML 2022 papers are about bandits?",
            Filters(venues=("ICML",), year_from=2022, year_to=2022),
            "Which papers are about bandits?",
        ),
        ("papers on pruning with code", Filters(has_code=True), "papers on pruning"),
        ("papers with open-source code on pruning", Filters(has_code=True), "papers on pruning"),
        ("papers by Yann LeCun on energy", Filters(authors=("Yann LeCun",)), "papers on energy"),
        ("anything by Laurens van der Maaten?", Filters(authors=("Laurens van der Maaten",)), "anything?"),
        (
            "papers on grokking at ICLR since 2021 with code",
            Filters(venues=("ICLR",), year_from=2021, has_code=True),
            "papers on grokking",
        ),
    ],
)
def test_filters_are_heard_and_leave_the_topic(question, filters, topic):
    found = understand(question)
    assert found.filters == filters
    assert found.topic == topic


@pytest.mark.parametrize(
    "question",
    [
        "What did AlexNet achieve on ImageNet 2012?",
        "How does GPT-4 answer questions about COVID-19?",
        "What is SemEval-2017 Task 10?",
        "What accuracy is reached on CVPR 2020 challenge data?",
        "How good is the system on WMT 2014 English-German?",
        "Are 2048 hidden units enough?",
        "How many tokens, 2000 or 4000?",
        "Which language models are trained with code?",
        "Does pretraining with code execution help?",
        "What is proposed by Google to speed up attention?",
        "How is PASCAL VOC 2007 used?",
        "which methods use ILSVRC-2012",
        "",
        "🙂",
    ],
)
def test_numbers_and_names_that_are_no_filters_stay_in_the_topic(question):
    assert understand(question).filters == Filters()
    assert understand(question).topic == question


@pytest.mark.parametrize(
    ("question", "field", "paper"),
    [
        ("when was LDReg posted?", "date", "LDReg"),
        ("When was the paper on noise token pruning published?", "date", "noise token pruning"),
        ("What is the publication date of 'Wasserstein GAN'?", "date", "Wasserstein GAN"),
        ("On what date was LDReg put online?", "date", "LDReg"),
        ("Is the LDReg paper older than 2021?", "date", "LDReg"),
        ("In which year was Mamba published?", "year", "Mamba"),
        ("how many authors does Top2Vec have?", "n_authors", "Top2Vec"),
        ("How many people wrote the node2vec paper?", "n_authors", "node2vec"),
        ("What's the number of authors of Top2Vec?", "n_authors", "Top2Vec"),
        ("who wrote the Top2Vec paper?", "authors", "Top2Vec"),
        ("Who are the authors of “A Title: Since 2020”?", "authors", "A Title: Since 2020"),
        ("How many upvotes did Attention is all you need get?", "upvotes", "Attention is all you need"),
        ("where was Attention is all you need published?", "venue", "Attention is all you need"),
        ("At which conference was DenseFormer presented?", "venue", "DenseFormer"),
        ("What is the link to Top2Vec?", "url", "Top2Vec"),
        ("Where can I find the code for LDReg?", "code", "LDReg"),
        ("Does LDReg have code?", "code", "LDReg"),
        ("when was it posted?", "date", ""),
        ("Who wrote it?", "authors", ""),
    ],
)
def test_questions_about_the_record_are_told_from_questions_about_the_contents(question, field, paper):
    intent = understand(question).metadata
    assert intent is not None
    assert (intent.field, intent.paper) == (field, paper)


@pytest.mark.parametrize(
    "question",
    [
        "When was the dataset collected?",
        "How many parameters does Mamba have?",
        "How many annotators labelled the corpus?",
        "Who is helped by retrieval?",
        "How many people rated the attribution maps of DAAM?",
        "Where is attention applied in the network?",
        "What year does the data start?",
        "Does code pretraining help reasoning?",
    ],
)
def test_questions_about_the_contents_are_no_metadata_questions(question):
    assert understand(question).metadata is None


def test_a_year_inside_an_asked_title_is_no_filter():
    found = understand("When was 'A survey of papers from 2019' posted?")
    assert found.metadata is not None
    assert found.filters == Filters()


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Does LDReg beat Top2Vec?", ("LDReg", "Top2Vec")),
        ("Is BERT better than GPT-4 and LLMs?", ("BERT", "GPT-4", "LLM")),
        ('what is "noise token pruning"?', ("noise token pruning",)),
        ("What is BERT's loss?", ("BERT",)),
        ("What's the model's first 3 layers, and the 10x rule?", ()),
        ("WHAT IS THE BEST WAY TO PRUNE", ()),
        ("LDReg", ("LDReg",)),
        ("How does two-stage or Top-down training work since 2019?", ()),
    ],
)
def test_exact_names_are_found(question, names):
    assert understand(question).names == names


@pytest.mark.parametrize(
    ("question", "several"),
    [
        ("Which papers study grokking?", True),
        ("Compare BERT and GPT-3", True),
        ("What approaches exist for pruning?", True),
        ("Are there methods for unlearning?", True),
        ("papers on pruning", True),
        ("What methods does LDReg use?", False),
        ("What is LDReg?", False),
        ("Which paper introduces LDReg?", False),
        ("What datasets do the authors use?", False),
    ],
)
def test_questions_for_several_papers_are_told(question, several):
    assert understand(question).several is several


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("How many parameters does it have?", "number"),
        ("What FID does DiT reach?", "number"),
        ("When did it start?", "date"),
        ("Who found it?", "person"),
        ("Why does it collapse?", "reason"),
        ("Which datasets were used?", "name"),
        ("What is grokking?", "definition"),
        ("Does it help?", "yes-no"),
        ("How does it work?", "open"),
    ],
)
def test_kind_of_answer_is_told(question, asked):
    assert understand(question).asked == asked


def test_given_and_heard_filters_are_both_kept():
    both = merged(Filters(year_from=2018, venues=("ICLR",)), Filters(year_from=2020, year_to=2022, venues=("ICML",)))
    assert both == Filters(year_from=2020, year_to=2022, venues=("ICLR",))


def test_filters_are_put_in_words():
    assert described(Filters(year_from=2020, year_to=2020, authors=("Ada",))) == "from the year 2020, by Ada"
    assert described(Filters()) == ""


@given(st.text(max_size=300))
def test_any_text_is_understood(question):
    found = understand(question)
    assert bool(found.topic) == bool(question.split())


@pytest.mark.parametrize(
    "unit", ["papers from ", "how many authors ", "with code and ", "'", "by A. ", "2019 ", "a b "]
)
def test_a_hostile_question_takes_no_time(unit):
    question = (unit * 10_000)[:10_000]
    start = time.perf_counter()
    understand(question)
    assert time.perf_counter() - start < 0.5
