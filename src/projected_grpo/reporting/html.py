"""Pages of the HTML report: their frame, documents with tables, and how it all was made.

1. A page is one self-contained HTML file that can be opened anywhere. Text of a model is escaped or highlighted, never
   interpreted: by the policy in a page's head nothing runs on it but SCRIPT, and nothing is loaded.
2. SCRIPT sorts a table by the column whose head is clicked, and turns links to other pages into those of a Snakemake
   report, where each page has a folder of its own; in a report of one file, which holds no links, into plain text.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import jinja2
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import YamlLexer

SCRIPT = """
"use strict";
const nothing = 2;
function key(cell) {
  const text = cell.textContent.trim(), number = /^[≥≤]?\\s*([+-]?\\d+(\\.\\d+)?)/.exec(text);
  if (number) return [0, parseFloat(number[1])];
  return text === "" || text === "\u2014" ? [nothing, 0] : [1, text];
}
function compare(one, other, sign) {
  if (one[0] === nothing || other[0] === nothing || one[0] !== other[0]) return one[0] - other[0];
  return sign * (one[0] ? one[1].localeCompare(other[1]) : one[1] - other[1]);
}
function isHeading(row) {
  const [first, ...rest] = row.cells;
  return rest.length > 0 && first.querySelector("strong") && rest.every(cell => cell.textContent.trim() === "");
}
function sort(head) {
  const sign = head.ariaSort === "ascending" ? -1 : 1, body = head.closest("table").tBodies[0];
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = sign === 1 ? "ascending" : "descending";
  const groups = [[]];
  for (const row of [...body.rows]) {
    if (isHeading(row)) groups.push([]);
    groups.at(-1).push(row);
  }
  for (const group of groups) {
    const headings = group.filter(isHeading), rows = group.filter(row => !isHeading(row));
    rows.sort((a, b) => compare(key(a.cells[head.cellIndex]), key(b.cells[head.cellIndex]), sign));
    body.append(...headings, ...rows);
  }
}
for (const head of document.querySelectorAll("thead th")) {
  head.tabIndex = 0;
  head.title = "sort";
  head.onclick = () => sort(head);
  head.onkeydown = event => { if (event.key === "Enter") sort(head); };
}
const inFolders = location.pathname.includes("/data/raw/");
if (inFolders || !["file:", "http:", "https:"].includes(location.protocol)) {
  for (const link of document.querySelectorAll("a[data-report]")) {
    if (inFolders && link.dataset.report) link.href = link.dataset.report;
    else link.replaceWith(...link.childNodes);
  }
}
"""
CODE = HtmlFormatter(style="bw", nowrap=False)
_TEMPLATES = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
template = _TEMPLATES.from_string
_PAGE = template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{{ digest }}'">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 Georgia, serif; color: #222; max-width: 72em; margin: 2em auto; padding: 0 1.5em; }
h1, h2, h3 { font-weight: normal; line-height: 1.2; }
h2 { margin-top: 2em; border-bottom: 1px solid #ccc; }
a { color: #0a58a6; }
table { border-collapse: collapse; font: 13px/1.35 system-ui, sans-serif; display: block; overflow-x: auto; }
th, td { padding: .25em .7em .25em 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e5e5e5; }
th { border-bottom: 1px solid #222; }
thead th { cursor: pointer; }
th[aria-sort=ascending]::after { content: " \u25b2"; }
th[aria-sort=descending]::after { content: " \u25bc"; }
td { font-variant-numeric: tabular-nums; }
pre { font: 13px/1.45 ui-monospace, monospace; background: #fafaf7; border: 1px solid #e5e5e5; padding: .8em 1em;
  overflow-x: auto; }
{{ style }}
</style>
</head>
<body>
<h1>{{ title }}</h1>
{{ body }}
<script>{{ script }}</script>
</body>
</html>
"""
)
_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()


@dataclass(frozen=True)
class Link:
    """Another page: from this one, and from this one in a Snakemake report of folders (report.zip)."""

    href: str
    in_report: str


def page(title: str, body: str, style: str = "") -> str:
    """Return one HTML file; `body` is HTML already, `style` CSS."""
    styles = Markup(f"{CODE.get_style_defs('.highlight')}\n{style}")
    return _PAGE.render(title=title, body=Markup(body), style=styles, script=Markup(SCRIPT), digest=_DIGEST)


def arm_links(files: Iterable[str], report_href: Callable[[str], object]) -> dict[str, Link]:
    """Return the links to the arms' pages, which lie in a folder beside the page that they stand on."""
    return {Path(file).stem: Link(f"arms/{Path(file).name}", str(report_href(file))) for file in files}


def document(
    text: str,
    links: Mapping[str, Link],
    folds: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    turns: Mapping[str, Mapping[int, str]] = MappingProxyType({}),
) -> str:
    """Return the page of a Markdown text, whose first heading is its title.

    `links` are the pages of runs by name. A cell of a table that is an arm's name leads there, and so does a name in
    backquotes anywhere. In a table with a column per fold, a cell leads to the row's run in that fold:
    `folds` is {column: {arm: run}}. An arm that has another run in each replicate is followed by the replicates, each
    of which leads to its own: `turns` is {arm: {replicate: run}}.
    """
    heading, _, rest = text.partition("\n")
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(rest)
    _link(tokens, links, folds, turns)
    return page(heading.lstrip("# "), markdown.renderer.render(tokens, markdown.options, {}))


def _link(
    tokens: list[Token],
    links: Mapping[str, Link],
    folds: Mapping[str, Mapping[str, str]],
    turns: Mapping[str, Mapping[int, str]],
) -> None:
    """Put links around cells and names, in place."""
    heads, cells = [], []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "tr_open":
            cells = []
        if token.type == "thead_open":
            heads = []
        if token.type != "inline":
            continue
        name = token.content.strip("*` ")
        if before.type == "th_open":
            heads.append(name)
        elif before.type == "td_open":
            cells.append(name)
            fold = folds.get(heads[len(cells) - 1], {})
            name = fold.get(cells[0], name) if len(cells) > 1 else name
            if name in turns:
                runs = [_linked([Token("text", "", 0, content=str(n))], links[run]) for n, run in turns[name].items()]
                spaced = [[Token("text", "", 0, content=" "), *run] for run in runs]
                token.children = [*token.children, *chain.from_iterable(spaced)]
                continue
            if name in links:
                token.children = _linked(token.children, links[name])
                continue
        token.children = list(chain.from_iterable(_named(child, links) for child in token.children))


def _named(token: Token, links: Mapping[str, Link]) -> list[Token]:
    """Return the token, in a link where it is an arm's name in backquotes."""
    is_name = token.type == "code_inline" and token.content in links
    return _linked([token], links[token.content]) if is_name else [token]


def _linked(children: list[Token], link: Link) -> list[Token]:
    opening = Token("link_open", "a", 1, attrs={"href": link.href, "data-report": link.in_report})
    return [opening, *children, Token("link_close", "a", -1)]


def setup(config: Mapping, packages: Mapping[str, str], note: str) -> str:
    """Return the page of the config and the software versions."""
    versions = "".join(f"<tr><td>{name}</td><td>{version}</td></tr>" for name, version in sorted(packages.items()))
    text = highlight(yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=True), YamlLexer(), CODE)
    body = f"<p>{note}</p><h2>Software</h2><table>{versions}</table><h2>Config, as merged</h2>{text}"
    return page("How it was made", body)
