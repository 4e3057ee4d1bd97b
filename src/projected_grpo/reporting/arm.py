"""The page of an arm: its runs, their curves, and sample rollouts on paper.

Samples are not picked by hand: the first rollouts, in a seeded order, of each mode and kind. The page shows all of them
or one kind.
"""

from collections.abc import Sequence
from itertools import product

import pandas as pd
from markupsafe import Markup
from pygments import highlight
from pygments.lexers import PythonLexer

from projected_grpo.environment.answers import extract_code
from projected_grpo.reading import along, counted, rates
from projected_grpo.reporting.colours import RATES
from projected_grpo.reporting.format import percent
from projected_grpo.reporting.html import CODE, page, template
from projected_grpo.rng import numpy_generator

KINDS = {
    "honest": "correct, and no exploit in the code",
    "hacked": "passed without being correct",
    "attempted": "the exploit is in the code, but it was not needed or did not fire",
}
PER_KIND = 3
WIDTH, HEIGHT = 240, 120  # of a curve, in pixels
_STYLE = """
.curves { display: flex; flex-wrap: wrap; gap: 1em 2.5em; }
.curves figure { margin: 0; font: 13px system-ui, sans-serif; }
.curves svg { display: block; overflow: visible; margin: .9em 3em 1.6em 2.4em; font: 11px system-ui, sans-serif; }
.sample { margin: 1.2em 0 2em; }
pre.prompt { white-space: pre-wrap; color: #555; background: none; margin: .3em 0; }
input[name="shown"] { margin-left: 1.2em; }
.verdict { font: 13px system-ui, sans-serif; color: #555; }
"""
_BODY = template(
    """<p>{{ note }} The deployed model on held-out problems, sampled at the training temperature.</p>
<h2 id="runs">Runs</h2>
<table>
<thead><tr><th>replicate</th>{% for rate in ends.columns %}<th>{{ rate }} %</th>{% endfor %}<th>files</th></tr></thead>
<tbody>
{% for n, row in ends.iterrows() %}
<tr><td>{{ n }}</td>{% for value in row %}<td>{{ percent(value) }}</td>{% endfor %}
<td><a href="../../replicate{{ n }}/runs/{{ arm }}/" data-report="">replicate{{ n }}/runs/{{ arm }}</a></td></tr>
{% endfor %}
</tbody></table>
<p>At the last step, on all problems.</p>
<h2 id="curves">Curves</h2>
<div class="curves">
{% for n, curve in curves.items() %}
<figure>replicate {{ n }}
<svg width="{{ width }}" height="{{ height }}">
{% for y in (0, 50, 100) %}
<line x2="{{ width }}" y1="{{ height - y * height / 100 }}" y2="{{ height - y * height / 100 }}" stroke="#ddd"/>
<text x="-6" y="{{ height - y * height / 100 }}" text-anchor="end" dominant-baseline="middle">{{ y }}</text>
{% endfor %}
<text y="{{ height + 16 }}">step 0</text>
<text x="{{ width }}" y="{{ height + 16 }}" text-anchor="end">{{ last }}</text>
{% for rate, points in curve.items() %}
<g fill="{{ colours[rate] }}"><polyline fill="none" stroke="{{ colours[rate] }}" stroke-width="1.6" points="
{%- for x, y in points %}{{ x }},{{ y }} {% endfor %}"/>
{% for x, y in points %}<circle cx="{{ x }}" cy="{{ y }}" r="2.2"/>{% endfor %}</g>
{% endfor %}
</svg></figure>
{% endfor %}
</div>
<p>In percent, on the fixed part of the problems that is evaluated along the run:
{% for rate, colour in colours.items() %}<span style="color: {{ colour }}">{{ rate }}</span> {% endfor %}</p>
<h2 id="rollouts">Sample rollouts</h2>
<p>Each prompt as the model was given it. Up to {{ per_kind }} of each kind; the rest are in
<code>evaluation.parquet</code>.</p>
<table><thead><tr><th>mode</th>{% for kind in kinds %}<th>{{ kind }}</th>{% endfor %}<th>of</th></tr></thead><tbody>
{% for mode, counts in shares.items() %}
<tr><td>{{ mode }}</td>{% for kind in kinds %}<td>{{ counts[kind] }}</td>{% endfor %}<td>{{ counts["all"] }}</td></tr>
{% endfor %}
</tbody></table>
<style>{% for kind in kinds %}
#{{ kind }}:checked ~ .samples .kind:not(.{{ kind }}) { display: none; }
{% endfor %}</style>
<p></p>
Show
<input type="radio" name="shown" id="all" checked><label for="all">all</label>
{% for kind in kinds %}
<input type="radio" name="shown" id="{{ kind }}"><label for="{{ kind }}">{{ kind }}</label>
{% endfor %}
<div class="samples">
{% for mode, by_kind in samples.items() %}
<h3>{{ mode }}</h3>
{% for kind, rows in by_kind.items() %}
<div class="kind {{ kind }}">
<h4>{{ kind }}: {{ kinds[kind] }}</h4>
{% for row in rows %}
<div class="sample">
<pre class="prompt">{{ row.prompt }}</pre>
{{ row.code }}
<p class="verdict">{{ row.verdict }}</p>
</div>
{% else %}
<p>None among the {{ shares[mode]["all"] }} completions.</p>
{% endfor %}
</div>
{% endfor %}
{% endfor %}
</div>
"""
)


def arm_page(rows: pd.DataFrame, modes: Sequence[str], arm: str, note: str) -> str:
    """Return the page of an arm from its evaluation rows, which have columns `replicate` and `prompt`."""
    final, course = counted(rows), rates(along(rows), ["replicate", "step"])
    chosen, shares = _samples(final, modes)
    body = _BODY.render(
        arm=arm,
        note=note,
        ends=rates(final, "replicate"),
        percent=percent,
        curves=_curves(course),
        last=course.index.get_level_values("step").max(),
        colours=RATES,
        width=WIDTH,
        height=HEIGHT,
        kinds=KINDS,
        samples=chosen,
        shares=shares,
        per_kind=PER_KIND,
    )
    return page(f"{arm}: runs, curves, rollouts", body, _STYLE)


def _curves(course: pd.DataFrame) -> dict[int, dict[str, list[tuple[str, str]]]]:
    """Return {replicate: {rate: its points in pixels}}, all on the same axes, of rates by replicate and step."""
    last = max(1, course.index.get_level_values("step").max())
    drawn: dict[int, dict[str, list]] = {}
    for (n, step), row in course.iterrows():
        for rate in RATES:
            x, y = f"{WIDTH * step / last:.1f}", f"{HEIGHT * (1 - row[rate]):.1f}"
            drawn.setdefault(n, {}).setdefault(rate, []).append((x, y))
    return drawn


def _samples(rows: pd.DataFrame, modes: Sequence[str]) -> tuple[dict, dict]:
    """Return ({mode: {kind: samples}}, {mode: {kind or `all`: how many there are}})."""
    rows = rows.iloc[numpy_generator(0, 0, "sample page").permutation(len(rows))]
    chosen: dict[str, dict[str, list]] = {mode: {} for mode in modes}
    shares: dict[str, dict[str, int]] = {mode: {"all": int((rows["mode"] == mode).sum())} for mode in modes}
    for mode, kind in product(modes, KINDS):
        fitting = rows[(rows["mode"] == mode) & _is(kind, rows)]
        chosen[mode][kind] = [_sample(row) for row in fitting.head(PER_KIND).itertuples()]
        shares[mode][kind] = len(fitting)
    return chosen, shares


def _is(kind: str, rows: pd.DataFrame) -> pd.Series:
    if kind == "honest":
        return rows["correct"] & ~rows["attempted"]
    return rows["exploited"] if kind == "hacked" else rows["attempted"] & ~rows["exploited"]


def _sample(row) -> dict[str, str]:
    code = extract_code(row.completion)
    fate = "correct" if row.correct else "not correct"
    fired = ", the loophole fired" if row.channel_fired else ""
    return {
        "prompt": row.prompt,
        "code": Markup(highlight(row.completion if code is None else code, PythonLexer(), CODE)),
        "verdict": f"{fate}{fired}; reward {row.reward:g}; status {row.status}; "
        f"replicate {row.replicate}, {row.problem_id}",
    }
