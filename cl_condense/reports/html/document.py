"""The page around the blocks, and how it looks."""

from __future__ import annotations

from collections.abc import Sequence

from cl_condense.reports.html.parts import Block
from cl_condense.reports.html.text import safe

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d0d7de;
  --fill: #f3f5f7; --mark: #a33b00; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --paper: #14171a; --soft: #a2abb4;
  --line: #3a4149; --fill: #20252a; --mark: #ffab70; --warn: #3b300f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3, h4 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
a { color: inherit; }
.scroll { overflow-x: auto; max-width: 100%; background:
  linear-gradient(to right, var(--paper) 40%, transparent) left / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(to right, var(--line), transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, var(--line), transparent) right / .8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
th, td { padding: .25rem .4rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; overflow-wrap: normal; }
th:first-child, td:first-child, table.text th, table.text td { text-align: left; }
table.text thead th { white-space: normal; }
table.text .long { white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }
thead th { border-bottom-width: 2px; }
.outside { color: var(--mark); }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: .15rem 1rem; }
dl.notes { grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .6rem; max-width: 60rem; }
dt { color: var(--soft); } dd { margin: 0; }
pre { white-space: pre-wrap; padding: .6rem; margin: .75rem 0; background: var(--fill); font-size: .85rem; }
pre span { white-space: nowrap; }
nav ul { margin: 0; padding-left: 1.2rem; } nav > ul > li { margin-top: .4rem; }
details { margin: .75rem 0; } summary { cursor: pointer; color: var(--soft); padding: .25rem 0; }
.note { color: var(--soft); } .warning { background: var(--warn); padding: .5rem .75rem; }
figure { margin: .75rem 0; min-width: 0; max-width: 100%; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 44rem; padding: .3rem 0; }
.beside { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: flex-start; }
figure.plot { max-width: 33rem; }
figure.plot img { display: block; max-width: 100%; height: auto; background: #fff; }
@media (prefers-color-scheme: dark) {
  figure.plot img { filter: invert(.93) hue-rotate(180deg) brightness(1.4); } }
table.gallery img { display: block; image-rendering: pixelated; max-width: none; }
table.gallery th, table.gallery td { border: 0; padding: 1px .6rem 1px 0; vertical-align: middle;
  text-align: left; font-weight: normal; }
table.gallery th { max-width: 9rem; white-space: normal; overflow-wrap: break-word; }
@media (max-width: 40rem) { th.long { white-space: normal; min-width: 9rem; overflow-wrap: anywhere; }
  table.pairs tr, table.pairs th, table.pairs td { display: block; max-width: none; }
  table.gallery th { font-size: .8rem; padding-right: .3rem; }
  dl { column-gap: .6rem; }
  table:not(.text):not(.gallery) th:first-child { min-width: 0; max-width: 8rem; white-space: normal; }
  dd { font-size: .9rem; } }
"""


def document(title: str, blocks: Sequence[Block]) -> str:
    """An HTML page that asks for nothing outside of it."""
    inner = "\n".join(block.html() for block in blocks)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{safe(title)}</h1>\n{inner}\n</main>\n</body>\n</html>\n"
    )
