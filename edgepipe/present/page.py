"""A report as one HTML page: nothing to fetch, no script, readable on a phone and on paper."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from edgepipe.pipeline.report import RunReport
from edgepipe.present.judged_by import NOTHING_SAID, JudgedBy
from edgepipe.present.legible import legible
from edgepipe.present.page_accuracy import accuracy_views
from edgepipe.present.page_changes import changes_view
from edgepipe.present.page_counts import counts_views
from edgepipe.present.page_latency import latency_views
from edgepipe.present.page_models import models_view
from edgepipe.present.page_run import notes_views, provenance_view, run_view
from edgepipe.present.page_verdict import verdict_view

_HERE = Path(__file__).parent
_TITLES = {
    "changes": "Changes",
    "models": "Models",
    "latency": "Latency",
    "accuracy": "Accuracy",
    "counts": "Counts",
    "notes": "Notes",
    "pipeline": "Pipeline",
    "provenance": "Provenance",
}


def page(
    report: RunReport,
    baseline: RunReport | None = None,
    *,
    judged: bool = True,
    by: JudgedBy = NOTHING_SAID,
) -> str:
    """HTML of ``report``, beside ``baseline`` if there is one; parts without data are left out.

    Not ``judged``: compared only, without verdicts. ``by``: the files that the verdicts come from.
    Its policy lets a browser run no script and load nothing, and allows the one style sheet by its
    hash. Everything that comes from a report is escaped, and stripped of control characters.
    """
    css = _css()
    sections = {
        "changes": changes_view(report, baseline),
        "models": models_view(report),
        "latency": latency_views(report),
        "accuracy": accuracy_views(report),
        "counts": counts_views(report),
        "notes": notes_views(report),
        "run": run_view(report),
        "provenance": provenance_view(report, by),
    }
    shown = {name for name, found in sections.items() if found}
    contents = [(k, t) for k, t in _TITLES.items() if ("run" if k == "pipeline" else k) in shown]
    return _template().render(
        css=Markup(css),  # noqa: S704 - our own file
        policy=policy(css),
        report=report,
        verdict=verdict_view(report, judged=judged),
        contents=contents,
        **sections,
    )


def policy(css: str) -> str:
    """The Content-Security-Policy of a page with the style sheet ``css`` and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _css() -> str:
    return (_HERE / "page.css").read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _finalize(value: object) -> object:
    """What every expression of the template passes through before it is escaped."""
    return value if isinstance(value, Markup) else legible(str(value))
