"""The prompts, as versioned files in this package, and the loader that fills them in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from string import Template

NOT_FOUND = "NOT IN THE ABSTRACTS"
"""What the model is told to say, and is understood to mean, when the abstracts do not answer."""

REMOVED = "REMOVE"
"""What the model is told to say for a sentence that cannot be repaired."""

ANSWER = "answer-2"
CONDENSE = "condense-1"
REPAIR = "repair-1"
REWRITE = "rewrite-1"
HYDE = "hyde-1"
RERANK = "rerank-1"

_SECTION = re.compile(r"^## (system|user)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's two messages with their `$names` still open. `version` goes into every answer made with it."""

    version: str
    system: Template
    user: Template

    def filled(self, **values: str) -> tuple[str, str]:
        """The system and the user message; KeyError names a value that is missing."""
        values = {"not_found": NOT_FOUND, "removed": REMOVED, **values}
        return self.system.substitute(values), self.user.substitute(values)


@lru_cache
def load_prompt(version: str) -> Prompt:
    """Read `<version>.md`: a section `## system` and a section `## user`."""
    content = resources.files(__name__).joinpath(f"{version}.md").read_text(encoding="utf-8")
    parts = _SECTION.split(content)
    sections = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    return Prompt(version, Template(sections["system"]), Template(sections["user"]))
