"""Answers about the library as a whole: lists, counts, newest and oldest, and what is declined."""

import json

import pytest

from rag import Filters, open_library


def test_papers_of_a_year_are_listed_each_with_its_citation(starter):
    answer = starter.ask("papers from 2013")
    assert answer.abstained is None
    assert {source.paper.year for source in answer.sources} == {2013}
    assert len(answer.sentences) == len(answer.sources) == 3
    assert answer.text.count("\n- “") == 2
    assert answer.notes == ("These are all 3 papers from the year 2013.",)
    assert all(sentence.supported and len(sentence.markers) == 1 for sentence in answer.sentences)
    assert all(citation.title in answer.text for citation in answer.citations)


@pytest.mark.parametrize("question", ["papers from 1951", "what do you have from 1951?", "how many papers from 1951?"])
def test_a_year_without_papers_is_said_to_have_none(starter, question):
    answer = starter.ask(question)
    assert answer.abstained == "this library holds no paper from the year 1951"
    assert answer.sources == ()


def test_years_that_no_record_holds_are_said(tmp_path):
    listing = tmp_path / "papers.jsonl"
    listing.write_text('{"title": "On Lakes", "abstract": "Lakes are deep and still, which was measured twice."}\n')
    with open_library(tmp_path / "library") as library:
        library.ingest([listing])
        assert "0 of its 1 papers have a year on record" in library.ask("papers from 2020").abstained


def test_count_is_the_one_of_the_catalog_and_the_list_says_that_it_is_cut(starter):
    answer = starter.ask("How many papers are there?")
    count = sum(1 for _ in starter.papers())
    assert f"This library holds {count} papers" in answer.text
    assert answer.notes == (f"8 of the {count} papers are listed.",)


def test_given_filters_narrow_what_is_counted(starter):
    answer = starter.ask("How many papers are there?", filters=Filters(year_from=2014, year_to=2014))
    expected = sum(paper.year == 2014 for paper in starter.papers())
    assert f"This library holds {expected} papers from the year 2014" in answer.text


@pytest.mark.parametrize(
    ("question", "pick"), [("what's the newest paper?", max), ("oldest paper in the library", min)]
)
def test_newest_and_oldest_come_first(starter, question, pick):
    answer = starter.ask(question)
    assert answer.sources[0].paper.year == pick(paper.year for paper in starter.papers() if paper.year)


@pytest.mark.parametrize(
    "question",
    [
        *("hello", "thanks, that helped", "who are you", "what can you do?", "are you sure?", "what should I read?"),
        *("why?", "compare the first two", "What is 2+2?", "?", "12345"),
    ],
)
def test_what_is_no_question_about_papers_is_declined_without_random_papers(starter, question):
    answer = starter.ask(question)
    assert "ask about a topic, a method, or a paper by its name" in answer.abstained
    assert answer.sources == ()
    assert answer.text.lower() == f"{answer.abstained}.".lower()


def test_a_word_that_nobody_knows_has_no_nearest_papers(starter):
    answer = starter.ask("asdf")
    assert answer.text == "The abstracts in this library do not answer this: none of the abstracts mentions “asdf”."
    assert answer.sources == ()


def test_a_greeting_before_a_question_is_no_part_of_it(starter):
    assert starter.ask("Hello, what is dropout?").text == starter.ask("what is dropout?").text


def test_an_author_is_not_said_to_be_missing_where_no_record_names_any(tmp_path):
    with library_of(tmp_path, DIGITS) as library:
        bare, topic = library.ask("papers by Smith"), library.ask("papers by Smith about digits")
    assert bare.abstained == "this library holds no paper by Smith (its records do not seem to name authors)"
    assert topic.abstained == "no paper in this library is by Smith (its records do not seem to name authors)"


def test_two_metadata_questions_in_one_are_both_answered(starter):
    answer = starter.ask("How many authors wrote the BERT paper and when was it posted?")
    assert "has 4 authors [1]" in answer.text
    assert "2018" in answer.text
    assert [citation.marker for citation in answer.citations] == [1, 1]


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("which is older, BERT or the Transformer", "Attention Is All You Need", "BERT"),
        ("Which came first, LoRA or word2vec?", "Efficient Estimation of Word Representations", "LoRA"),
        ("XGBoost or random forests: which is more recent?", "XGBoost", "Random Forests"),
        ("Which has more authors, BERT or GPT-3?", "Language Models are Few-Shot Learners", "BERT"),
    ],
)
def test_of_two_papers_the_one_asked_for_comes_first_each_by_its_record(starter, question, first, second):
    answer = starter.ask(question)
    assert answer.abstained is None
    assert all(item.paper.title.startswith(name) for item, name in zip(answer.sources, (first, second), strict=True))
    assert all(sentence.supported for sentence in answer.sentences)
    assert " than the other: it " in answer.sentences[0].text


def test_dates_of_two_papers_are_both_told(starter):
    assert starter.ask("When did BERT and GPT-3 come out?").text.count("is dated") == 2


def test_a_paper_is_not_compared_with_one_that_is_not_there(starter):
    answer = starter.ask("Was BERT published before ELMo?")
    assert answer.abstained == "none of the papers found is “ELMo”"


def test_a_title_with_an_and_in_it_is_one_paper(starter):
    answer = starter.ask("When was Synergizing Reasoning and Acting in Language Models published?")
    assert [source.paper.title.partition(":")[0] for source in answer.sources] == ["ReAct"]


def test_records_that_do_not_settle_an_order_give_none(tmp_path):
    listing = tmp_path / "papers.jsonl"
    rows = [("Lakes Are Deep", "2020"), ("Seas Are Salt", "2020-05-02"), ("Rivers Run Down", "")]
    listing.write_text(
        "".join(
            f'{{"title": "{title}", "abstract": "{title}: we say much that was measured.", "date": "{date}"}}\n'
            for title, date in rows
        )
    )
    with open_library(tmp_path / "library") as library:
        library.ingest([listing])
        unsettled = library.ask("Which is older, Lakes Are Deep or Seas Are Salt?")
        undated = library.ask("Which is older, Rivers Run Down or Seas Are Salt?")
    assert "than the other" not in unsettled.text
    assert unsettled.text.count("is dated") == 2
    assert "So their records do not say which of the two it is." in unsettled.notes
    assert undated.text.count("is dated") == 1
    assert "The record of “Rivers Run Down” does not hold its date." in undated.notes


def test_most_upvoted_paper_comes_first_with_its_votes(tmp_path):
    listing = tmp_path / "papers.jsonl"
    rows = [("On Lakes", 3), ("On Seas", 12), ("On Rivers", 1)]
    listing.write_text(
        "".join(
            f'{{"title": "{title}", "abstract": "{title} we say much that is new and was measured.", "upvotes": {n}}}\n'
            for title, n in rows
        )
    )
    with open_library(tmp_path / "library") as library:
        library.ingest([listing])
        answer = library.ask("most upvoted paper")
    assert answer.text.startswith("The most upvoted paper in this library is “On Seas”, with 12 upvotes [1].")
    assert "- “On Rivers”, with 1 upvote [3]." in answer.text


def test_papers_of_a_topic_and_a_year_are_listed_with_their_titles(starter):
    answer = starter.ask("which papers from 2020 are about retrieval?")
    assert len(answer.sources) > 1
    for source in answer.sources:
        assert source.paper.year == 2020
        assert f"“{source.paper.title}”" in answer.text


def test_papers_of_a_topic_are_not_counted(starter):
    answer = starter.ask("how many papers about dropout are there?")
    assert any("not a count" in note for note in answer.notes)


def test_two_papers_that_are_compared_both_speak(starter):
    answer = starter.ask("compare BERT and GPT-3")
    assert answer.abstained is None
    assert {source.paper.title.partition(":")[0] for source in answer.sources} == {
        "BERT",
        "Language Models are Few-Shot Learners",
    }


def test_a_comparison_with_what_no_paper_names_is_declined(starter):
    assert "Mamba" in starter.ask("compare BERT and Mamba").abstained


def test_two_things_that_a_question_joins_are_both_told(starter):
    answer = starter.ask("What are dropout and batch normalization?")
    assert answer.abstained is None
    first, second = (source.paper.title.split(":")[0] for source in answer.sources)
    assert (first, second) == ("Dropout", "Batch Normalization")
    assert "Batch normalization standardises the inputs" in answer.text


def test_things_that_only_meet_in_one_question_are_not_told_apart(starter):
    answer = starter.ask("Does dropout help with batch normalization?")
    assert len(answer.sources) == 1


def test_a_number_that_was_asked_for_is_all_that_is_told(starter):
    answer = starter.ask("How many parameters does GPT-3 have?")
    assert len(answer.sentences) == 1
    assert "175 billion parameters" in answer.text


def test_a_name_that_stands_in_the_abstract_alone_finds_the_record(starter):
    answer = starter.ask("Where is the code of DPR?")
    assert "https://github.com/facebookresearch/DPR" in answer.text


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("papers from Google", "not where the authors work"),
        ("Which paper is most cited?", "no record holds how often"),
        ("paper with the most authors", "papers are not ranked, counted or chosen by that"),
        ("Which papers do not use transformers?", "hardly ever what it does not"),
        ("published in Cell", "this library holds no paper with venue Cell"),
    ],
)
def test_what_no_record_holds_is_said_instead_of_answered_from_abstracts(starter, question, said):
    answer = starter.ask(question)
    assert said in answer.abstained
    assert answer.sources == ()


def test_as_many_of_the_newest_papers_are_listed_as_were_asked_for(starter):
    assert len(starter.ask("the three oldest papers").sources) == 3
    assert len(starter.ask("newest 10 papers").sources) == 10


def test_papers_of_a_journal_are_listed(starter):
    answer = starter.ask("published in Nature")
    assert answer.abstained is None
    assert all(source.paper.venue == "Nature" for source in answer.sources)


def library_of(folder, rows):
    """A library of (title, abstract, date)."""
    listing = folder / "papers.jsonl"
    keys = ("title", "abstract", "date")
    listing.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
    library = open_library(folder / "library")
    library.ingest([listing])
    return library


DIGITS = [
    (f"On {what} of Digits", f"We study {what.lower()} of written digits. The tests are on {data}.", day)
    for what, data, day in [
        ("Rotation", "MNIST and SVHN", ""),
        ("Scaling", "mnist", "2019-03-01"),
        ("Shearing", "SVHN", "2021-05-01"),
        ("Colouring", "MNIST", ""),
        ("Blurring", "MNIST", ""),
        ("Noising", "MNIST", ""),
        ("Cutting", "MNIST", ""),
        ("Mixing", "MNIST", ""),
        ("Mirroring", "letters", ""),
    ]
]


def test_papers_that_say_a_name_are_all_told_and_no_others(tmp_path):
    with library_of(tmp_path, DIGITS) as library:
        answer = library.ask("Which papers mention MNIST?")
        both = library.ask("papers that evaluate on MNIST and SVHN")
        none = library.ask("Which papers mention 'tiny squirrels'?")
    assert answer.abstained is None
    told = answer.text + " ".join(answer.notes)
    for title, abstract, _ in DIGITS:
        assert (f"“{title}”" in told) == ("mnist" in abstract.lower())
    assert [source.paper.title for source in both.sources] == ["On Rotation of Digits"]
    assert none.abstained == "none of the papers found mentions “tiny squirrels”"


def test_newest_papers_on_a_topic_are_dated_ones(tmp_path):
    with library_of(tmp_path, DIGITS) as library:
        answer = library.ask("newest papers on written digits")
    assert [source.paper.year for source in answer.sources] == [2021, 2019]
    assert "Papers without a year on record were left out." in answer.notes


def test_no_newest_is_named_where_nothing_is_dated(tmp_path):
    with library_of(tmp_path, [(title, abstract, "") for title, abstract, _ in DIGITS]) as library:
        answer = library.ask("newest papers on written digits")
    assert "None of the papers found has a year on record, so which is the newest cannot be told." in answer.notes


def test_years_that_no_record_holds_narrow_nothing_and_that_is_said(tmp_path):
    with library_of(tmp_path, [(title, abstract, "") for title, abstract, _ in DIGITS]) as library:
        answer = library.ask("What has been studied of rotation since 2019?")
        given = library.ask("What has been studied of rotation?", filters=Filters(year_from=2019))
    assert [source.paper.title for source in answer.sources] == ["On Rotation of Digits"]
    assert "The records do not hold years, so these are papers of any year." in answer.notes
    assert given.abstained == "no paper in this library is from 2019 on"


def test_papers_without_a_year_are_said_to_be_left_out_where_a_question_names_years(tmp_path):
    with library_of(tmp_path, DIGITS) as library:
        some = library.ask("What has been studied of digits since 2020?")
        none = library.ask("What has been studied of grokking since 2020?")
    assert [source.paper.title for source in some.sources] == ["On Shearing of Digits"]
    for answer in (some, none):
        assert "Papers without a year on record were left out." in answer.notes
    assert none.abstained


def test_how_many_papers_there_are_on_a_topic_is_answered_with_papers(starter):
    answer = starter.ask("How many papers are about dropout?")
    assert answer.abstained is None
    assert any("not a count" in note for note in answer.notes)


def test_a_list_by_what_papers_do_not_do_comes_with_a_warning(starter):
    answer = starter.ask("Which retrieval papers do not train on labelled data?")
    assert answer.abstained or any("does not do" in note for note in answer.notes)


def test_two_things_asked_for_in_two_questions_are_both_told(starter):
    answer = starter.ask("What is LoRA and what is RoBERTa?")
    assert [source.paper.title.partition(":")[0] for source in answer.sources] == ["LoRA", "RoBERTa"]
