"""JUnit XML: one test case a gate, for the test tab of a CI server.

There is no one standard; this keeps to what Ant's and Jenkins' schemas have in common: properties
stand on a suite, and a case holds at most one of ``failure`` and ``error``, then ``system-out``.

An inconclusive gate is an ``error``. ``skipped`` would say it better, but GitLab, Jenkins and most
others count a skipped case as harmless and leave the run green, and undecided is no pass. The two
words keep "not good enough" (failure) and "could not be told" (error) apart, with a count each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Verdict
from edgepipe.present import words
from edgepipe.present.judged_by import NOTHING_SAID, JudgedBy

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""
_NO_TIME = "0.000"
"""Judging takes none worth telling; what the measurement took is in the report."""


def junit(report: RunReport, by: JudgedBy = NOTHING_SAID) -> str:
    """The verdicts of ``report`` as a whole XML document, UTF-8 when it is written.

    ``by``, the files they come from, are properties of each suite.
    A suite for each tier that has gates. A report that was not judged has one case, an error.
    """
    cases = [
        (tier, [verdict for verdict in report.verdicts if verdict.tier == tier])
        for tier in words.TIERS
    ]
    root = ET.Element("testsuites", name=_clean(f"edgepipe: {report.name}"), time=_NO_TIME)
    names = _Names()
    for tier, verdicts in cases:
        if verdicts:
            root.append(_suite(report, tier, verdicts, names, by))
    if report.verdict == "not judged":
        root.append(_unjudged(report))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


class _Names:
    """Makes names of test cases differ: GitLab drops the second of two that are the same."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        self.seen[name] = self.seen.get(name, 0) + 1
        return name if self.seen[name] == 1 else f"{name} ({self.seen[name]})"


def _suite(
    report: RunReport, tier: str, verdicts: Sequence[Verdict], names: _Names, by: JudgedBy
) -> ET.Element:
    outcomes = [verdict.outcome for verdict in verdicts]
    suite = _empty_suite(report, tier)
    suite.set("tests", str(len(verdicts)))
    suite.set("failures", str(outcomes.count("fail")))
    suite.set("errors", str(outcomes.count("inconclusive")))
    named = [(names(words.title(verdict)), verdict) for verdict in verdicts]
    about = [("report", report.created), ("machine", report.machine.machine_id)]
    about += by.facts()
    for name, verdict in named:
        about += [(f"{name}: {part}", text) for part, text in _figures(verdict)]
    properties = ET.SubElement(suite, "properties")
    for name, text in about:
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(text))
    suite.extend(_case(report, tier, name, verdict) for name, verdict in named)
    return suite


def _empty_suite(report: RunReport, tier: str) -> ET.Element:
    return ET.Element(
        "testsuite",
        name=_clean(f"edgepipe.{report.name}.{tier}"),
        tests="1",
        failures="0",
        errors="0",
        skipped="0",
        time=_NO_TIME,
        timestamp=_clean(report.created.removesuffix("Z")),
    )


def _figures(verdict: Verdict) -> Iterable[tuple[str, str]]:
    """Figures to be read by a program: plain numbers in the unit that stands beside them."""
    numbers = {"value": verdict.value, "low": verdict.low, "high": verdict.high}
    yield "outcome", verdict.outcome
    yield "unit", verdict.unit
    yield f"limit, {verdict.limit_is}", repr(verdict.limit)
    yield from ((part, repr(number)) for part, number in numbers.items() if number is not None)
    if verdict.confidence is not None:
        yield "confidence", repr(verdict.confidence)


def _case(report: RunReport, tier: str, name: str, verdict: Verdict) -> ET.Element:
    case = _empty_case(report, tier, name)
    sentence = words.sentence(verdict)
    if verdict.outcome != "pass":
        kind = "failure" if verdict.outcome == "fail" else "error"
        told = ET.SubElement(case, kind, message=_clean(words.told(verdict)), type=verdict.outcome)
        told.text = _clean("\n".join((sentence, *verdict.details)))
    whole = "\n".join((sentence, *verdict.details))
    whole = whole.replace("[ATTACHMENT|", "[ATTACHMENT |")  # which GitLab would make a link of
    ET.SubElement(case, "system-out").text = _clean(whole)
    return case


def _empty_case(report: RunReport, tier: str, name: str) -> ET.Element:
    place = f"edgepipe.{report.name}.{tier}"
    return ET.Element("testcase", classname=_clean(place), name=_clean(name), time=_NO_TIME)


def _unjudged(report: RunReport) -> ET.Element:
    suite = _empty_suite(report, "gates")
    suite.set("errors", "1")
    case = ET.SubElement(suite, "testcase", _empty_case(report, "gates", "all gates").attrib)
    message = f"{len(report.gates)} gates, and {len(report.verdicts)} verdicts"
    ET.SubElement(case, "error", message=message, type="not judged").text = message
    return suite


def _clean(text: str) -> str:
    r"""``text`` with what XML cannot hold written as ``\x00``; the writer escapes the rest."""
    return _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
