"""All HTML of the chat page; everything that comes from files, models or people is escaped in `ui.render.text`."""

from ui.render.answers import broken_html, conversation_html, live_html, problem_html, turn_html, welcome_html
from ui.render.filters import chips_html, heard_html, menu_html
from ui.render.frame import side_html, top_html
from ui.render.library import conversations_html, progress_html, report_html, summary_html, table_html, to_add_html
from ui.render.map import figure_json, map_notice_html, topics_html
from ui.render.sign_in import sign_in_html
from ui.render.sources import evidence_html, paper_html, reading_html, similar_html
from ui.render.text import plain

__all__ = [
    "broken_html",
    "chips_html",
    "conversation_html",
    "conversations_html",
    "evidence_html",
    "figure_json",
    "heard_html",
    "live_html",
    "map_notice_html",
    "menu_html",
    "paper_html",
    "plain",
    "problem_html",
    "progress_html",
    "reading_html",
    "report_html",
    "side_html",
    "sign_in_html",
    "similar_html",
    "summary_html",
    "table_html",
    "to_add_html",
    "top_html",
    "topics_html",
    "turn_html",
    "welcome_html",
]
