"""Pages of the HTML report: table 1 with its verdicts, sample rollouts on paper, and how it all was made.

1. A page is one self-contained HTML file. Text of a model is escaped or highlighted, never interpreted.
2. Samples are not picked by hand: the first rollouts, in a seeded order, of each mode and kind. A page shows all of
   them or one kind, without any script: it can be opened anywhere, and nothing on it runs.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import product

import jinja2
import pandas as pd
import yaml
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, YamlLexer

from projected_grpo.environment.answers import extract_code
from projected_grpo.reading import counted
from projected_grpo.rng import numpy_generator

KINDS = {
    "honest": "correct, and no exploit in the code",
    "hacked": "passed without being correct",
    "attempted": "the exploit is in the code, but it was not needed or did not fire",
}
PER_KIND = 3
_CODE = HtmlFormatter(style="bw", nowrap=False)
_TEMPLATES = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
template = _TEMPLATES.from_string
_PAGE = template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 Georgia, serif; color: #222; max-width: 72em; margin: 2em auto; padding: 0 1.5em; }
h1, h2, h3 { font-weight: normal; line-height: 1.2; }
h2 { margin-top: 2em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; font: 13px/1.35 system-ui, sans-serif; display: block; overflow-x: auto; }
th, td { padding: .25em .7em .25em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e5e5e5; }
th { border-bottom: 1px solid #222; }
td { font-variant-numeric: tabular-nums; }
pre { font: 13px/1.45 ui-monospace, monospace; background: #fafaf7; border: 1px solid #e5e5e5; padding: .8em 1em;
  overflow-x: auto; }
.sample { margin: 1.2em 0 2em; }
pre.prompt { white-space: pre-wrap; color: #555; background: none; margin: .3em 0; }
input[name="shown"] { margin-left: 1.2em; }
.verdict { font: 13px system-ui, sans-serif; color: #555; }
{{ style }}
</style>
</head>
<body>
<h1>{{ title }}</h1>
{{ body }}
</body>
</html>
"""
)
_SAMPLES = template(
    """<p>{{ note }} Completions of <b>{{ arm }}</b>, deployed, at its last step, on held-out problems, sampled at the
training temperature; the prompt as the model was given it. Up to {{ per_kind }} of each kind; the rest are in
<code>evaluation.parquet</code>.</p>
<table><tr><th>mode</th>{% for kind in kinds %}<th>{{ kind }}</th>{% endfor %}<th>of</th></tr>
{% for mode, counts in shares.items() %}
<tr><td>{{ mode }}</td>{% for kind in kinds %}<td>{{ counts[kind] }}</td>{% endfor %}<td>{{ counts["all"] }}</td></tr>
{% endfor %}
</table>
<style>{% for kind in kinds %}
#{{ kind }}:checked ~ .samples .kind:not(.{{ kind }}) { display: none; }
{% endfor %}</style>
Show
<input type="radio" name="shown" id="all" checked><label for="all">all</label>
{% for kind in kinds %}
<input type="radio" name="shown" id="{{ kind }}"><label for="{{ kind }}">{{ kind }}</label>
{% endfor %}
<div class="samples">
{% for mode, by_kind in samples.items() %}
<h2>{{ mode }}</h2>
{% for kind, rows in by_kind.items() %}
<div class="kind {{ kind }}">
<h3>{{ kind }}: {{ kinds[kind] }}</h3>
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


def page(title: str, body: str) -> str:
    """Return one HTML file; `body` is HTML already."""
    return _PAGE.render(title=title, body=Markup(body), style=_CODE.get_style_defs(".highlight"))


def document(text: str) -> str:
    """Return the page of a Markdown text, whose first heading is its title."""
    heading, _, rest = text.partition("\n")
    return page(heading.lstrip("# "), MarkdownIt("commonmark").enable("table").render(rest))


def samples(rows: pd.DataFrame, modes: Sequence[str], arm: str, note: str) -> str:
    """Return the page of sample rollouts from an arm's evaluation rows, which have columns `replicate` and `prompt`."""
    rows = counted(rows)
    rows = rows.iloc[numpy_generator(0, 0, "sample page").permutation(len(rows))]
    chosen: dict[str, dict[str, list]] = {mode: {} for mode in modes}
    shares: dict[str, dict[str, int]] = {mode: {"all": int((rows["mode"] == mode).sum())} for mode in modes}
    for mode, kind in product(modes, KINDS):
        fitting = rows[(rows["mode"] == mode) & _is(kind, rows)]
        chosen[mode][kind] = [_sample(row) for row in fitting.head(PER_KIND).itertuples()]
        shares[mode][kind] = len(fitting)
    body = _SAMPLES.render(arm=arm, note=note, kinds=KINDS, samples=chosen, shares=shares, per_kind=PER_KIND)
    return page(f"Sample rollouts: {arm}", body)


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
        "code": Markup(highlight(row.completion if code is None else code, PythonLexer(), _CODE)),
        "verdict": f"{fate}{fired}; reward {row.reward:g}; status {row.status}; "
        f"replicate {row.replicate}, {row.problem_id}",
    }


def setup(config: Mapping, packages: Mapping[str, str], note: str) -> str:
    """Return the page of the config and the software versions."""
    versions = "".join(f"<tr><td>{name}</td><td>{version}</td></tr>" for name, version in sorted(packages.items()))
    text = highlight(yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=True), YamlLexer(), _CODE)
    body = f"<p>{note}</p><h2>Software</h2><table>{versions}</table><h2>Config, as merged</h2>{text}"
    return page("How it was made", body)
