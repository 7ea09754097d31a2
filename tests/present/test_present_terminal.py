from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from edgepipe.present import terminal
from edgepipe.present.junit import junit
from edgepipe.present.markdown import markdown
from edgepipe.present.page import page
from edgepipe.present.result import result
from tests.present.judged import nasty

ORDERS = (
    "::error::x", "  ::add-mask::x", "a ##[command]rm", "##[error]x", "###[x", "##vso[task.x]y",
    "##VSO[task.x]y", "a\n::error::x", "a\n ##[group]b",
)  # fmt: skip


def obeyed(text: str) -> list[str]:
    """Lines that GitHub's or Azure's runner acts on: both look for a word and then a bracket."""
    return [
        line
        for line in text.splitlines()
        if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line.lower()
    ]


@pytest.mark.parametrize("text", ORDERS)
def test_a_line_gives_no_orders_and_stays_one_line(text: str) -> None:
    assert obeyed(text)
    shown = terminal.line(text)
    assert not obeyed(shown)
    assert len(shown.splitlines()) == 1
    assert not obeyed(f"- {terminal.inline(text)}")


@pytest.mark.parametrize("text", ["ai.onnx::Gelu", "## a heading", "a::b", "#[x]", "# #[x]"])
def test_what_is_no_order_is_shown_as_it_is(text: str) -> None:
    assert terminal.line(text) == text


@pytest.mark.parametrize("text", ORDERS)
def test_no_output_gives_orders_and_its_content_is_the_same(text: str) -> None:
    report = nasty(text)
    value = result(report)
    made = terminal.json_lines(json.dumps(value, indent=2))
    assert not obeyed(made)
    assert json.loads(made) == value
    xml = terminal.markup_lines(junit(report))
    assert not obeyed(xml)
    assert ET.tostring(ET.fromstring(xml)) == ET.tostring(ET.fromstring(junit(report)))  # noqa: S314
    assert not obeyed(markdown(report, again=text))
    html = terminal.markup_lines(page(report))
    assert not obeyed(html)
    css = re.compile("<style>(.*?)</style>", re.DOTALL)
    assert css.findall(html) == css.findall(page(report))  # its hash stands in the policy
