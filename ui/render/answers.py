"""The conversation: questions, answers with clickable markers, abstentions, problems, the first page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rag import Answer, Filters, Hit
from rag.spending import dollars
from ui.exchange import Exchange, spent
from ui.render.filters import heard_html
from ui.render.frame import exports_html
from ui.render.prose import answer_html, draft_html
from ui.render.sources import evidence_html, reading_html
from ui.render.text import attribute, counted, plain

_UNANSWERED = "The abstracts do not answer this."


def conversation_html(exchanges: Sequence[Exchange], conversation: str | None) -> str:
    """All finished exchanges; `conversation` is the id under which they are kept."""
    shown = [source.paper for item in exchanges if item.answer for source in item.answer.sources]
    titles = {paper.id: paper.title for paper in shown}
    turns = "".join(turn_html(exchange, number, titles) for number, exchange in enumerate(exchanges))
    return f'<div class="turns" data-conversation="{attribute(conversation or "")}">{turns}{_spent(exchanges)}</div>'


def turn_html(exchange: Exchange, number: int, titles: Mapping[str, str] | None = None) -> str:
    """One exchange: the question, what became of it, and (hidden, for the side panel) its sources.

    `titles` by id are those of the papers that a follow-up may have been narrowed to.
    """
    answer = exchange.answer
    if answer is not None:
        below = _answer(answer, exchange, number, titles or {})
    elif exchange.problem is not None:
        below = problem_html(exchange.problem)
    else:
        below = f'<div class="answer draft">{draft_html(exchange.partial)}</div><p class="made">Stopped.</p>'
    return f'<article class="turn" data-turn="{number}">{_question(exchange.question, number)}{below}</article>'


def live_html(question: str, number: int, *, draft: str = "", hits: Sequence[Hit] | None = None) -> str:
    """The exchange that is under way; nothing in the draft is live yet."""
    state = "Searching the abstracts" if hits is None else f"Reading {counted(len(hits), 'abstract')}"
    written = f'<div class="answer draft">{draft_html(draft)}</div>' if draft else f'<p class="waiting">{state}</p>'
    found = f'<div class="evidence" hidden>{reading_html(hits)}</div>' if hits else ""
    return (
        f'<article class="turn live" data-turn="{number}" aria-busy="true">'
        f'<h2 class="question">{plain(question)}</h2>{written}{found}</article>'
    )


def welcome_html(papers: int, facts: Mapping[str, str], examples: Sequence[str] | None) -> str:
    """The first page: what is in the library, and questions that it answers; `examples` None: not ready yet."""
    if not papers:
        return _EMPTY
    rows = "".join(f"<div><dt>{name}</dt><dd>{plain(value)}</dd></div>" for name, value in facts.items())
    asked = "".join(
        f'<li><button type="button" data-do="ask" data-text="{attribute(question)}">{plain(question)}</button></li>'
        for question in examples or ()
    )
    tried = f'<h3>This library can answer</h3><ul class="examples">{asked}</ul>' if asked else ""
    return (
        '<section class="welcome"><h2>Ask the abstracts.</h2>'
        "<p>Every sentence of an answer names the abstract sentence that supports it. "
        f"What the abstracts do not say is said to be missing.</p>{tried}<dl>{rows}</dl>"
        '<p class="quiet"><button type="button" class="plain" data-view="library">'
        "Add or look through papers</button></p>"
        "</section>"
    )


_EMPTY = (
    '<section class="welcome"><h2>No papers yet.</h2>'
    "<p>Citewise answers from the abstracts that you give it: a copied web listing, BibTeX or RIS from a reference "
    "manager, arXiv or OpenReview metadata, CSV, JSON.</p>"
    '<p><button type="button" class="main" data-view="library">Add papers</button></p>'
    '<p class="quiet">or in a terminal: <code>citewise ingest PATH…</code></p></section>'
)


def broken_html(message: str) -> str:
    """The first page of a library that cannot be used."""
    return f'<section class="welcome"><h2>This library cannot be used.</h2>{problem_html(message)}</section>'


def problem_html(message: str) -> str:
    """One line that says what went wrong."""
    return f'<p class="problem" role="alert">{plain(message[:1].upper() + message[1:])}</p>'


def _question(question: str, number: int) -> str:
    """The question, and a form (out of sight until it is wanted) to ask it in other words."""
    return (
        f'<header><h2 class="question" data-text="{attribute(question)}">{plain(question)}</h2><span class="tools">'
        '<button type="button" data-do="edit" title="Edit this question and ask again">Edit</button>'
        f'<button type="button" data-do="retry" data-turn="{number}" title="Ask again">Retry</button></span>'
        f'<form class="rewrite" data-turn="{number}">'
        f'<textarea aria-label="Edit the question">\n{escape(question)}</textarea><span class="tools">'
        '<button type="submit">Ask again</button><button type="button" data-do="give-up">Cancel</button></span></form>'
        "</header>"
    )


def _answer(answer: Answer, exchange: Exchange, number: int, known: Mapping[str, str]) -> str:
    searched = ""
    if answer.searched and answer.searched.strip() != answer.question.strip():
        searched = f'<p class="searched">Searched for <q>{plain(answer.searched)}</q></p>'
    written = f'<div class="answer" data-text="{escape(answer.text)}">{answer_html(answer)}</div>'
    body = _abstention(answer) if answer.abstained else written
    notes = "".join(f'<p class="note">{plain(note)}</p>' for note in answer.notes)
    titles = {**known, **{source.paper.id: source.paper.title for source in answer.sources}}
    heard = heard_html(_heard(answer.filters, exchange.given), number, titles)
    return (
        f"{searched}{heard}{body}{notes}{_footer(answer, exchange, number)}"
        f'<div class="evidence" hidden>{evidence_html(answer)}</div>'
    )


def _heard(used: Filters, given: Filters) -> Filters:
    """What of the filters was heard in the question or kept from an earlier one."""
    names = Filters.__dataclass_fields__
    return Filters(**{name: getattr(used, name) for name in names if getattr(used, name) != getattr(given, name)})


def _abstention(answer: Answer) -> str:
    nearest = "".join(
        f'<li><button type="button" class="near" data-source="{source.marker}">'
        f"{plain(source.paper.title)}</button></li>"
        for source in answer.sources
    )
    reason = (answer.abstained or "").rstrip(".")
    told = f"{reason[:1].upper()}{reason[1:]}."
    listed = f"<p>The nearest papers:</p><ol>{nearest}</ol>" if nearest else ""
    return (
        f'<div class="abstained" data-text="{escape(f"{_UNANSWERED} {told}")}"><p><b>{_UNANSWERED}</b> '
        f"{plain(told)}</p>{listed}</div>"
    )


def _footer(answer: Answer, exchange: Exchange, number: int) -> str:
    parts = [
        f"Written by {answer.model}" if answer.mode == "llm" else "Extractive",
        f"{answer.timings.get('total', 0.0):.2f} s",
    ]
    if answer.usage:
        parts.append(_tokens(answer.usage))
    if exchange.cost is not None or answer.usage:
        parts.append("cost unknown" if exchange.cost is None else dollars(exchange.cost))
    weak = sum(not sentence.supported for sentence in answer.sentences)
    if weak:
        parts.append(f"{counted(weak, 'sentence')} unsupported")
    made = "".join(f"<span>{plain(part)}</span>" for part in parts)
    return f'<footer class="made"><span class="facts">{made}</span>{_tools(exchange, number)}</footer>'


def _spent(exchanges: Sequence[Exchange]) -> str:
    """What the conversation took of models, under its last answer; nothing where there is but one to add up."""
    total = spent(exchanges) if len(exchanges) > 1 else None
    if total is None:
        return ""
    known = dollars(total.cost) if total.cost or not total.unpriced else ""
    unknown = f"{counted(total.unpriced, 'answer')} of unknown cost" if total.unpriced else ""
    parts = " · ".join(filter(None, (f"{total.tokens:,} tokens", known, unknown)))
    return f'<p class="made spent">This conversation: {parts}</p>'


def _tokens(usage: Mapping[str, int]) -> str:
    """How many tokens a model read and wrote."""
    both = {"prompt", "completion"} <= usage.keys()
    parts = f" ({usage['prompt']:,} read, {usage['completion']:,} written)" if both else ""
    return f"{sum(usage.values()):,} tokens{parts}"


def _tools(exchange: Exchange, number: int) -> str:
    count = len(exchange.answer.sources) if exchange.answer else 0
    shown = f'<button type="button" data-do="sources">{counted(count, "source")}</button>' if count else ""
    saved = exports_html(number)
    votes = "".join(
        f'<button type="button" data-do="rate" data-turn="{number}" data-rating="{value}"'
        f' aria-pressed="{"true" if exchange.rating == value else "false"}">{words}</button>'
        for value, words in ((1, "Good"), (-1, "Wrong"))
    )
    return (
        f'<span class="tools">{shown}<button type="button" data-do="copy">Copy</button>'
        f"{saved}{votes}</span>{_remark(exchange, number)}"
    )


def _remark(exchange: Exchange, number: int) -> str:
    """A line for what was good or wrong, which appears with a vote."""
    hidden = "" if exchange.remark else " hidden"
    return (
        f'<form class="remark" data-turn="{number}"{hidden}><input type="text" maxlength="2000" name="remark"'
        f' value="{attribute(exchange.remark)}" placeholder="What was good, or wrong? (optional)"'
        ' aria-label="What was good, or wrong?"><button type="submit">Keep</button></form>'
    )
