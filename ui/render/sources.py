"""The sources of an answer: each abstract in full, with the sentences that support the answer marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from rag import Answer, Citation, Hit, Paper, Source
from ui.render.text import attribute, counted, facts, links, plain


def evidence_html(answer: Answer) -> str:
    """All sources of one answer, for the panel beside the conversation."""
    if not answer.sources:
        return ""
    best = max(source.score for source in answer.sources)
    heading = "Nearest papers" if answer.abstained else "Sources"
    cards = "".join(
        _card(source, [item for item in answer.citations if item.marker == source.marker], best)
        for source in answer.sources
    )
    return f"<h2>{heading} <small>{counted(len(answer.sources), 'paper')}</small></h2>{cards}"


def reading_html(hits: Sequence[Hit]) -> str:
    """The papers found, shown while the answer is being written."""
    rows = "".join(f"<li>{plain(hit.paper.title)}<small>{facts(hit.paper)}</small></li>" for hit in hits)
    return f'<h2>Reading <small>{counted(len(hits), "paper")}</small></h2><ol class="found">{rows}</ol>'


def similar_html(paper: Paper, hits: Sequence[Hit]) -> str:
    """Papers like one paper."""
    best = max((hit.score for hit in hits), default=0.0)
    cards = "".join(_card(Source(place, hit.paper, hit.score), [], best) for place, hit in enumerate(hits, start=1))
    told = cards or '<p class="quiet">There is no other paper near it.</p>'
    return f"<h2>More like <em>{plain(paper.title)}</em></h2>{told}"


def paper_html(paper: Paper) -> str:
    """One paper with all that is known of it."""
    rows = [
        ("Authors", ", ".join(paper.authors) or (counted(paper.n_authors, "author") if paper.n_authors else "")),
        ("Venue", paper.venue or ""),
        ("Date", paper.date_text or ""),
        ("Keywords", ", ".join(paper.keywords)),
        ("Upvotes", f"{paper.upvotes:,}" if paper.upvotes is not None else ""),
        ("Read from", "; ".join(f"{_name(source.path)}, line {source.line}" for source in paper.sources[:5])),
    ]
    known = "".join(f"<dt>{name}</dt><dd>{plain(value)}</dd>" for name, value in rows if value)
    remove = (
        f'<button type="button" data-do="remove" data-paper="{attribute(paper.id)}"'
        f' data-title="{attribute(paper.title)}" class="danger">Remove from the library</button>'
    )
    return (
        '<p class="actions closing"><button type="button" data-do="close-paper">Close</button></p>'
        f'<h2 tabindex="-1">{plain(paper.title)}</h2><dl>{known}</dl>'
        f'<p class="abstract">{plain(paper.abstract) or "No abstract."}</p>'
        f'<p class="links">{links(paper)}</p><p class="actions">{_actions(paper)}{remove}</p>'
    )


def _name(path: str) -> str:
    """The file's name: where it lies is nobody's business who looks at the page from elsewhere."""
    return path if "://" in path else PurePath(path).name or path


def _card(source: Source, own: Sequence[Citation], best: float) -> str:
    paper = source.paper
    fields = "".join(
        f'<p class="field"><mark data-for="{item.sentence}">{plain(item.quote)}</mark></p>'
        for item in own
        if item.end <= item.start
    )
    abstract = marked(paper.abstract, [item for item in own if item.end > item.start])
    quoted = "" if abstract else '<p class="quiet">This paper has no abstract.</p>'
    return (
        f'<details class="source" data-source="{source.marker}"{" open" if source.marker == 1 else ""}>'
        f'<summary><span class="number">{source.marker}</span><span class="heading"><b>{plain(paper.title)}</b>'
        f"<small>{facts(paper)}</small>{_relevance(source.score, best)}</span></summary>"
        f'<div class="inside">{fields}<p class="abstract">{abstract}</p>{quoted}'
        f'<p class="links">{links(paper)}</p><p class="actions">{_actions(paper)}</p></div></details>'
    )


def _relevance(score: float, best: float) -> str:
    """How near a paper is beside the nearest one; nothing where none was searched for, as in a list by date."""
    if best <= 0:
        return ""
    share = round(100 * min(1.0, max(0.04, score / best)))
    words = f"Relevance: {share}% of the nearest paper’s"
    return (
        f'<span class="relevance" role="img" aria-label="{words}" title="{words}"><i style="width:{share}%"></i></span>'
    )


def _actions(paper: Paper) -> str:
    named = f'data-paper="{attribute(paper.id)}"'
    return "".join(
        f'<button type="button" data-do="{do}" {named}>{words}</button>'
        for do, words in (("only", "Ask only this paper"), ("like", "More like this"), ("exclude", "Exclude"))
    )


def marked(abstract: str, citations: Iterable[Citation]) -> str:
    """An abstract with the cited stretches marked; a mark names the answer's sentences that it supports."""
    spans: dict[tuple[int, int], list[Citation]] = {}
    for item in citations:
        spans.setdefault((item.start, item.end), []).append(item)
    pieces: list[str] = []
    position = 0
    for (start, end), own in sorted(spans.items()):
        if start < position:  # two citations overlap: the first one's mark stands for both
            continue
        sentences = " ".join(str(number) for number in dict.fromkeys(item.sentence for item in own))
        weak = "" if any(item.supported for item in own) else ' class="weak" title="Near, but it does not support it"'
        pieces.append(
            f'{plain(abstract[position:start])}<mark data-for="{sentences}"{weak}>{plain(abstract[start:end])}</mark>'
        )
        position = end
    return "".join([*pieces, plain(abstract[position:])])
