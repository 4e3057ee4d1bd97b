"""The report's pages: what a document links to, and what runs on a page, in a browser where there is one."""

import re
import shutil
import subprocess

import pytest

from projected_grpo.reporting import html
from projected_grpo.reporting.format import grid

ROWS = [
    ["**interventions** (baseline vanilla)", "", ""],
    ["erase", "8.7 ¶", "+36 [+20, +52]"],
    ["route", "11.0", "—"],
    ["screen", "-1.1", "+4 [-3, +12]"],
    ["**slow controls** (baseline vanilla)", "", ""],
    ["slow", "29.9", "+1 [—]"],
    ["cold", "5.1", "-2 [-3, -1]"],
]
TABLE = f"# Title\n\nSee `erase`, not `other` or erase.\n\n{grid(['arm', 'hack %', '(e)'], ROWS)}\n"
LINKS = {arm: html.Link(f"arms/{arm}.html", f"../0abc/{arm}.html") for arm in ("erase", "route", "erase_without_a")}


def test_a_document_becomes_a_page_with_tables():
    page = html.document("# Title\n\ntext\n\n| a | b |\n| --- | --- |\n| **1** | 2 |\n", {})
    assert "<h1>Title</h1>" in page and "<td><strong>1</strong></td>" in page and "# Title" not in page


def links(page):
    return re.findall(r'<a href="(.*?)" data-report="(.*?)">(.*?)</a>', page)


def test_an_arms_name_in_a_cell_or_in_backquotes_leads_to_its_page():
    assert links(html.document(TABLE, LINKS)) == [
        ("arms/erase.html", "../0abc/erase.html", "<code>erase</code>"),
        ("arms/erase.html", "../0abc/erase.html", "erase"),
        ("arms/route.html", "../0abc/route.html", "route"),
    ]


def test_a_cell_of_a_fold_leads_to_the_run_in_this_fold():
    text = grid(["arm", "a", "b"], [["erase", "**1 / 2**<br>+3", "4 / 5"]])
    page = html.document(f"# Title\n\n{text}\n", LINKS, {"a": {"erase": "erase_without_a"}, "b": {"erase": "erase"}})
    assert [(href, shown) for href, _, shown in links(page)] == [
        ("arms/erase.html", "erase"),
        ("arms/erase_without_a.html", "<strong>1 / 2</strong><br>+3"),
        ("arms/erase.html", "4 / 5"),
    ]


def test_an_arm_with_another_run_in_each_replicate_is_followed_by_these():
    page = html.document(
        f"# Title\n\n{grid(['arm', 'a'], [['`erase`', '1']])}\n",
        LINKS,
        {},
        {"erase": {1: "erase_without_a", 2: "route"}},
    )
    assert [(href, shown) for href, _, shown in links(page)] == [
        ("arms/erase_without_a.html", "1"),
        ("arms/route.html", "2"),
    ]
    assert "<code>erase</code> <a" in page


def test_the_pages_of_arms_are_found_from_their_files():
    made = html.arm_links(["results/pages/arms/erase.html"], lambda path: f"../id of {path}/erase.html")
    assert made == {"erase": html.Link("arms/erase.html", "../id of results/pages/arms/erase.html/erase.html")}


def test_the_setup_shows_config_and_versions():
    page = html.setup({"train": {"lr": 0.06}}, {"torch": "2.13.0"}, "A note.")
    text = re.sub(r"<[^>]+>", "", page)
    assert "lr: 0.06" in text and "torch2.13.0" in text and "A note." in text


@pytest.fixture
def opened(tmp_path):
    """Return what a browser makes of a page in a file, as HTML again."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium is installed")

    def open_page(text, folder="pages"):
        file = tmp_path / folder / "page.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--dump-dom", file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return open_page


def driven(page, action):
    """Return a page on which a second script runs, which the policy in its head forbids."""
    free = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    return free.replace("</body>", f"<script>{action}</script></body>")


def order(page):
    body = re.search(r"<tbody>(.*)</tbody>", page, flags=re.DOTALL).group(1)
    cells = re.findall(r"<tr>\s*<td>(.*?)</td>", body, flags=re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).partition(" ")[0] for cell in cells]


@pytest.mark.parametrize(
    ("column", "clicks", "expected"),
    [
        (1, 1, "interventions screen erase route slow cold slow"),
        (1, 2, "interventions route erase screen slow slow cold"),
        (2, 1, "interventions screen erase route slow cold slow"),
        (2, 2, "interventions erase screen route slow slow cold"),  # what has no number stays last
        (0, 2, "interventions screen route erase slow slow cold"),
    ],
)
def test_a_click_on_a_head_sorts_within_the_groups(opened, column, clicks, expected):
    click = f"document.querySelectorAll('thead th')[{column}].click();"
    page = opened(driven(html.document(TABLE, LINKS), click * clicks))
    assert order(page) == expected.split()
    assert page.count("aria-sort=") == 2 + 1  # of the style, and of the one head


def test_a_page_runs_its_own_script_and_no_other(opened):
    page = html.document(TABLE, LINKS)
    assert 'title="sort"' in opened(page)
    foreign = page.replace("</body>", "<script>document.title = 'foreign'</script><b onclick='1'></b></body>")
    found = opened(foreign)
    assert "<title>Title</title>" in found and 'title="sort"' in found
    assert "<title>foreign</title>" in opened(driven(page, "document.title = 'foreign'"))  # so this would be seen


def test_links_follow_the_page_into_a_report(opened):
    page = html.document(TABLE, LINKS)
    assert 'href="arms/erase.html"' in opened(page)
    in_folders = opened(page, "report/data/raw/0def")
    assert 'href="../0abc/erase.html"' in in_folders and 'href="arms/' not in in_folders
    files = html.page("Runs", '<a href="../../replicate1/" data-report="">files</a>')
    assert "<a href" in opened(files) and "<a href" not in opened(files, "report/data/raw/0def")
