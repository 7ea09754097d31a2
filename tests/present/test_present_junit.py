from __future__ import annotations

from xml.etree import ElementTree as ET

import junitparser
import pytest

from edgepipe.present.judged_by import JudgedBy
from edgepipe.present.junit import junit
from tests.present.judged import NASTY, SPEED, THREE, nasty, report, verdict


def parsed(text: str) -> list[junitparser.TestSuite]:
    """By a library that has nothing to do with ours."""
    return list(junitparser.JUnitXml.fromstring(text.encode()))


def test_another_library_reads_a_case_a_gate_and_its_result() -> None:
    counts, accuracy, clocks = parsed(junit(report(THREE)))
    assert [suite.name for suite in (counts, accuracy, clocks)] == [
        "edgepipe.reviews.counts", "edgepipe.reviews.accuracy", "edgepipe.reviews.clocks",
    ]  # fmt: skip
    (size,), (drop,), (speed,) = map(list, (counts, accuracy, clocks))
    assert size.name == "int8: size of the files, at most 18.0 MB"
    assert size.classname == "edgepipe.reviews.counts"
    assert [type(result) for result in size.result] == [junitparser.Failure]
    assert size.result[0].message == "int8: size of the files 18.2 MB; at most 18.0 MB asked: grew"
    assert "vocab.txt 300 kB" in size.result[0].text
    assert "vocab.txt 300 kB" in size.system_out
    assert drop.result == []
    assert drop.is_passed
    assert drop.system_out.startswith("PASS")
    assert [type(result) for result in speed.result] == [junitparser.Error]
    assert speed.result[0].type == "inconclusive"
    assert not speed.is_passed
    assert not speed.is_skipped


def test_the_totals_are_those_that_another_library_counts() -> None:
    text = junit(report((*THREE, SPEED)))
    before = ET.fromstring(text)  # noqa: S314 - our own
    again = junitparser.JUnitXml.fromstring(text.encode())
    again.update_statistics()
    assert (again.tests, again.failures, again.errors) == (4, 1, 2)
    for name in ("tests", "failures", "errors"):
        assert before.get(name) == str(getattr(again, name))
        for suite, counted in zip(before, again, strict=True):
            assert suite.get(name) == str(getattr(counted, name))


def test_the_figures_are_properties_of_the_suite() -> None:
    (suite,) = parsed(junit(report([verdict()])))
    found = {item.name: item.value for item in suite.properties()}
    gate = "int8 against teacher: accuracy drop, at most 2.00 points: "
    assert float(found[gate + "value"]) == 0.005
    assert float(found[gate + "high"]) == 0.011
    assert float(found[gate + "limit, at most"]) == 0.02
    assert found[gate + "unit"] == "share"
    assert suite.timestamp == "2026-11-20T08:00:00"


def test_two_gates_of_one_title_are_two_cases() -> None:
    """GitLab shows only the first of two cases with the same name."""
    (suite,) = parsed(junit(report([verdict(), verdict(note="again"), verdict()])))
    assert len({case.name for case in suite}) == 3


def test_what_was_not_judged_is_an_error_and_what_asks_nothing_is_empty() -> None:
    unjudged = report(THREE).model_copy(update={"verdicts": ()})
    ((case,),) = map(list, parsed(junit(unjudged)))
    assert isinstance(case.result[0], junitparser.Error)
    assert parsed(junit(report())) == []


ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "properties": set(),
    "property": {"name", "value"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "testcase": ["failure", "error", "system-out"],
    "properties": ["property"],
}


def test_it_keeps_to_what_the_common_schemas_share() -> None:
    """Jenkins' junit-10.xsd and Ant's, by hand: elements, their order, required attributes."""
    for element in ET.fromstring(junit(report(THREE))).iter():  # noqa: S314
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        places = [CHILDREN.get(element.tag, []).index(child.tag) for child in element]
        assert places == sorted(places)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_text_breaks_it_or_gets_lost(text: str) -> None:
    written = junit(nasty(text))
    (suite,) = parsed(written)
    cases = list(suite)
    assert [len(case.result) for case in cases] == [0, 1, 1]
    assert len({case.name for case in cases}) == 3
    for word in text.split():
        if word.isprintable():
            assert word in cases[1].result[0].text
    assert "[ATTACHMENT|" not in "".join(case.system_out for case in cases)
    assert {element.tag for element in ET.fromstring(written).iter()} == {  # noqa: S314
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
        "system-out",
    }  # fmt: skip


def test_characters_that_xml_cannot_hold_are_spelt_out() -> None:
    (suite,) = parsed(junit(report([verdict("fail", why="a\x00b\x1b[0m\ufffe\ud800c")])))
    (case,) = suite
    assert "a\\x00b\\x1b[0m\\ufffe\\ud800c" in case.result[0].message


def test_the_files_that_were_judged_are_properties() -> None:
    by = JudgedBy(
        report_sha256="a" * 64, policy="p.toml", policy_sha256="b" * 64, baseline="o.json"
    )
    (suite,) = parsed(junit(report([verdict()]), by))
    found = {item.name: item.value for item in suite.properties()}
    assert (found["report, SHA-256"], found["policy"]) == ("a" * 64, "p.toml")
    assert (found["policy, SHA-256"], found["baseline"]) == ("b" * 64, "o.json")
