"""Plain text as LaTeX that typesets it and does nothing else: a title may hold `\\input` and be meant to."""

from __future__ import annotations

import re

_SPECIAL = {character: f"\\{character}" for character in "&%#_$"}
# To BibTeX an escaped brace is a brace like any other, and would end the field.
_SPECIAL |= {"{": "\\textbraceleft{}", "}": "\\textbraceright{}"}
_SPECIAL |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
_ESCAPES = str.maketrans(_SPECIAL)
# As on the page: no space inside, no digit after, so that "$5 to $10" stays money.
_FORMULA = re.compile(r"((?<!\\)\$(?=\S)[^$\n]{1,200}(?<=\S)\$(?!\d))")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
# What a formula in a title may say and stay one. LaTeX has no list of what is harmless: this one is short on purpose.
_KNOWN = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma "
    "tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar "
    "infty partial nabla frac sqrt sum prod int log exp sin cos tan min max sup inf lim Pr times cdot cdots "
    "ldots dots pm mp div ast star circ bullet oplus otimes wedge vee cap cup setminus in notin subset "
    "subseteq leq le geq ge ll gg neq ne equiv approx sim simeq cong propto to rightarrow leftarrow Rightarrow "
    "leftrightarrow mapsto forall exists mid parallel perp langle rangle left right lfloor rfloor lceil rceil "
    "bar hat tilde vec dot overline underline widehat widetilde mathbf mathrm mathit mathcal mathbb mathsf "
    "mathtt mathfrak boldsymbol text textit textbf textrm emph operatorname quad prime top bot dagger degree , "
    "; ! : { } |".split()
)


def as_latex(text: str) -> str:
    """The text with its special characters escaped; only formulas of harmless commands stay as they are.

    >>> print(as_latex("50% of $O(n^2)$ at $5"), as_latex("\\\\input /etc/passwd"))
    50\\% of $O(n^2)$ at \\$5 \\textbackslash{}input /etc/passwd
    """
    return "".join(part if _is_harmless(part) else part.translate(_ESCAPES) for part in _FORMULA.split(text))


def _is_harmless(part: str) -> bool:
    if not _FORMULA.fullmatch(part) or "^^" in part or re.search(r"(?<!\\)[%#~&]", part):
        return False
    if not all(command in _KNOWN for command in _COMMAND.findall(part)):
        return False
    depth = 0
    for brace in re.findall(r"[{}]", part):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0
