"""Draws screens of a terminal as one SVG that plays them; no scripts, so that it plays inside a page.

The screens stand side by side, and the strip is moved by one screen at a time. Where nothing is played (a reader that
wants less motion, a converter) the last screen is shown.
"""
import itertools
from xml.sax.saxutils import escape

CELL_X, CELL_Y = 8.4, 18
MARGIN = 14
LAST_S = 6.0
COLOURS = {"green": "#7ec16e", "brown": "#d7b35c", "red": "#e06c6c", "cyan": "#6cb6c9", "blue": "#79a6e0", "magenta": "#c98bdb"}
STYLE = """\
.screen {{ fill: #16191d }}
text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d5d9de; white-space: pre }}
.b {{ font-weight: bold }}
{colours}
@media (prefers-reduced-motion: no-preference) {{
  .strip {{ animation: play {seconds:.2f}s step-end infinite }}
}}
@keyframes play {{
{steps}
}}"""


def lines_of(screen):
    """The rows of a screen; each is a tuple of (first column, text, colour, bold)."""
    rows = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        runs, column = [], 0
        for (colour, bold), group in itertools.groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in group)
            if text.strip():
                runs.append((column, text.rstrip(), colour, bold))
            column += len(text)
        rows.append(tuple(runs))
    return rows


def svg(frames, columns, title):
    """The film of (second, rows) pairs."""
    used = 1 + max(y for _, rows in frames for y, row in enumerate(rows) if row)
    width, height = columns * CELL_X + 2 * MARGIN, used * CELL_Y + 2 * MARGIN
    begin, end = frames[0][0], frames[-1][0] + LAST_S
    # Most rows stand for many screens: each is drawn once.
    names = {}
    strip = []
    for nth, (_, rows) in enumerate(frames):
        for y, row in enumerate(rows):
            if row:
                name = names.setdefault(row, f"r{len(names)}")
                strip.append(f'<use href="#{name}" x="{nth * width:.1f}" y="{y * CELL_Y}"/>')
    steps = "\n".join(
        f"  {100 * (second - begin) / (end - begin):.3f}% {{ transform: translateX({-nth * width:.1f}px) }}"
        for nth, (second, _) in enumerate(frames)
    )
    colours = "\n".join(f".{name} {{ fill: {value} }}" for name, value in COLOURS.items())
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height}" width="{width:.0f}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE.format(colours=colours, seconds=end - begin, steps=steps)}\n</style>",
        "<defs>",
        *(f'<g id="{name}">{"".join(map(text_of, row))}</g>' for row, name in names.items()),
        "</defs>",
        f'<rect class="screen" width="100%" height="100%" rx="8"/>',
        f'<svg x="{MARGIN}" y="{MARGIN}" width="{columns * CELL_X:.1f}" height="{used * CELL_Y}">',
        f'<g class="strip" transform="translate({-(len(frames) - 1) * width:.1f})">',
        *strip,
        "</g>",
        "</svg>",
        "</svg>\n",
    ])


def text_of(run):
    column, text, colour, bold = run
    classes = [name for name, given in ((colour, colour in COLOURS), ("b", bold)) if given]
    given = f' class="{" ".join(classes)}"' if classes else ""
    # The width is given, so that each letter is in its cell whatever font there is.
    return (f'<text x="{column * CELL_X:.1f}" y="14" textLength="{len(text) * CELL_X:.1f}"'
            f' xml:space="preserve"{given}>{escape(text)}</text>')
