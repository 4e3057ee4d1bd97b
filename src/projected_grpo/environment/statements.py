"""What a statement in words says about its answers: any order, a tolerance, one of several (method 4).

The tests of a LeetCode problem know one answer. Where the statement allows others, a right answer would fail them
and, with an own run_tests, count as a hack. So the statement is read when the problem is loaded.
"""

import re
from dataclasses import dataclass

_NUMBER = (  # 10-5 is what is often left of a superscript
    r"(?:10 ?(?:\^|\*\*|<sup>)? ?\(?[-\u2212\u2013](?P<power>\d{1,2})"
    r"|1e-(?P<exponent>\d{1,2})|(?P<decimal>0\.0{0,11}1)\b)"
)
_TOLERANCE = re.compile(
    rf"\b(?:within|differ(?:s|ing)? by (?:at most|less than|no more than)|(?:error|difference|tolerance|precision)"
    rf"(?: \w+){{0,4}}(?: of| is| than| to| most)?) {_NUMBER}"
)
_ANSWER = r"(?:answers?|outputs?|results?|solutions?)"
_ANY_ORDER = re.compile(
    r"\b(?:return|output|give|report|list|find all)\b"
    r"(?:(?!\b(?:if|whether|number|count|minimum|maximum)\b)[^.;]){0,120}"
    r"\bin (?:any|arbitrary|whatever|no particular) (?:order|sequence)\b"
    rf"|\b{_ANSWER} (?:\w+ ){{0,4}}(?:be |is )?(?:\w+ ){{0,2}}in (?:any|arbitrary) order\b"
    r"|\border (?:of|in which) [^.;]{1,60}?(?:does|do|is|are)(?: not|n't) (?:matter|important|relevant)"
    r"|\border (?:does not|doesn't) matter\b"
    r"|\bany order (?:is|will be) (?:accepted|fine|ok|valid|allowed)"
)
_INSIDE = re.compile(
    r"\border of [^.;]{1,60}\band (?:the )?(?:order of )?[^.;]{1,40}(?:does|do|is|are)(?: not|n't) (?:matter|important)"
    r"|\b(?:all|unique|distinct|possible|valid|the) (?:\w+ ){0,2}(?:subsets|combinations|triplets|quadruplets)\b"
    r"|\bgroup the\b"
)
_KIND = rf"(?:{_ANSWER}|arrays?|strings?|lists?|sequences?|orderings?|paths?|trees?|permutations?)"
_OTHERWISE = r"(?:if|whether|when|unless|for|number|count|true|false|minimum|maximum|smallest|largest|least|cost|time)"
_SEVERAL = re.compile(
    r"\b(?:return|output|report|give) "
    rf"(?:(?!{_OTHERWISE}\b)[\w\[\]',-]+ ){{0,8}}"
    r"any (?:of (?:them|those|these|the)|one|such|valid|possible|correct|other|integer|number|index|"
    rf"{_KIND})\b"
    r"|\b(?:return|output|report) any(?:[.,;]|$)"
    rf"|\b(?:choose|pick) any (?:one |valid |correct |possible )*(?:of the )?{_ANSWER}\b"
    rf"|\bany (?:one |valid |correct |possible |such )*(?:of (?:them|these|those) |{_KIND} )(?:\w+ )?"
    r"(?:is|are|will be|would be) (?:accepted|fine|considered|correct|ok|allowed)"
    r"|\bany (?:one )?of (?:them|these|those) (?:is|are|will be) (?:accepted|correct|fine|ok)"
    rf"|\b(?:multiple|many|several|more than one) (?:\w+ ){{0,3}}{_KIND}[^.;]{{0,60}}\bany\b"
)


@dataclass(frozen=True)
class Reading:
    """What a statement allows besides the one expected value.

    comparison  "exact", "any_order" (of a list's items) or "any_order_inside" (and of the lists' in it)
    tolerance   absolute, or None
    several     the words that allow any of several answers, or ""
    """

    comparison: str = "exact"
    tolerance: float | None = None
    several: str = ""


def read_statement(statement: str) -> Reading:
    """Return what a statement says of its answers."""
    text = " ".join(statement.lower().replace("\u2019", "'").split())
    order = _ANY_ORDER.search(text)
    several = _SEVERAL.search(re.sub(r"\bany order\b", " ", text))
    inside = order is not None and _INSIDE.search(text)
    comparison = "any_order_inside" if inside else "any_order" if order else "exact"
    return Reading(comparison, _tolerance(text), several.group(0) if several else "")


def _tolerance(text: str) -> float | None:
    found = _TOLERANCE.search(text)
    if found is None:
        return None
    power = found["power"] or found["exponent"]
    return 10.0 ** -int(power) if power else float(found["decimal"])
