"""The parts of the page that never change: the line at the top, the panel at the side."""


def top_html() -> str:
    """Name, views, conversations, light and dark."""
    views = "".join(
        f'<button type="button" data-view="{view}"{current}>{words}</button>'
        for view, words, current in (
            ("ask", "Ask", ' aria-current="page"'),
            ("library", "Library", ""),
            ("map", "Map", ""),
        )
    )
    return (
        '<h1>Citewise</h1><nav aria-label="Views">'
        f'{views}</nav><span class="tools"><button type="button" data-do="new">New conversation</button>'
        f"{exports_html()}"
        '<button type="button" data-do="drawer" aria-expanded="false">Conversations</button>'
        '<button type="button" data-do="dark" aria-label="Light or dark">◐</button></span>'
        '<span id="said" class="unseen" role="status"></span>'
    )


def exports_html(turn: int | None = None) -> str:
    """The menu that saves one answer, or the whole conversation."""
    which = "" if turn is None else f' data-turn="{turn}"'
    saved = "".join(
        f'<button type="button" data-do="export"{which} data-format="{kind}">{words}</button>'
        for kind, words in (("md", "Markdown"), ("bib", "BibTeX"), ("ris", "RIS"), ("json", "JSON record"))
    )
    name = "Export" if turn is not None else "Export all"
    return f'<details class="menu exports"><summary>{name}</summary><div>{saved}</div></details>'


def side_html() -> str:
    """The panel that shows the sources of the answer looked at."""
    return (
        '<aside id="evidence" aria-label="Sources" tabindex="-1">'
        '<button type="button" class="close" data-do="close-side">Close</button>'
        '<div class="shown"><p class="quiet">The sources of an answer appear here.</p></div></aside>'
    )
