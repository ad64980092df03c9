"""What all figures share: the style, the palette, and how a drawing becomes SVG and PNG.

A figure component keeps its numbers apart from its lines: `data(run)` gives the numbers, None where there are
none, `draw(data)` draws them, and `caption(data)` says what is seen.
"""

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any, Protocol

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from study.reporting.run import Run
from study.spec import components

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)  # Okabe and Ito 2008, safe for colour-blind readers
INK, GREY, PALE = "#222222", "#767676", "#C9C9C9"
WIDTH = 6.7  # inches, the text width of a journal page
STYLE: Any = {
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.size": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "study",
    "text.color": INK,
    "text.parse_math": False,  # a label such as `$100_$a` is no formula
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}
PNG_DPI = 200
OTHER_SCRIPTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
)
"""Fonts with Chinese and more, of Linux, Windows and macOS; the page's browser has its own."""
FONTS = "Helvetica Neue,Helvetica,Arial,Liberation Sans,DejaVu Sans,sans-serif"


class FigureComponent(Protocol):
    """What a file in `figures/` defines.

    Attributes:
        title: Heading without a final stop.
        section: Section of the page where the figure stands.
    """

    title: str
    section: str

    def data(self, run: Run) -> Any:
        """The numbers that are drawn; None where the run has none."""

    def draw(self, data: Any) -> Figure:
        """The drawing."""

    def caption(self, data: Any) -> str:
        """What is seen, in a sentence or two."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure ready for the page and for files.

    Attributes:
        name: File name without its ending.
        section: Section of the page where it stands.
        title: Heading without a final stop.
        caption: What is seen.
        svg: The drawing for the page.
        png: The drawing for documents.
        synthetic: Whether its numbers come from made-up images.
    """

    name: str
    section: str
    title: str
    caption: str
    svg: str
    png: bytes
    synthetic: bool

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg


def sheet(width: float = WIDTH, height: float = 2.6) -> Figure:
    """An empty drawing of that size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def in_lines(words: str, letters: int) -> list[str]:
    """The words in lines of so many letters, broken after blanks and underscores where that is possible."""
    return [line.replace("_ ", "_") for line in wrap(words.replace("_", "_ "), letters)]


def draw(name: str, run: Run) -> Drawing | None:
    """The figure of that name, or None where the run has nothing for it."""
    component: FigureComponent = components.load("figure", name)()
    data = component.data(run)
    if data is None:
        return None
    with style():
        return drawn(
            component.draw(data),
            name=name,
            section=component.section,
            title=component.title,
            caption=component.caption(data),
            synthetic=run.synthetic,
        )


@contextmanager
def style() -> Iterator[None]:
    """The style, with the fonts of this machine that have other than Latin letters.

    Matplotlib's warnings of each letter that no font has stay off the console; a PNG shows a box there.
    """
    there = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(name for name in OTHER_SCRIPTS if name in there)]
    with matplotlib.rc_context({**STYLE, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def drawn(figure: Figure, *, name: str, section: str, title: str, caption: str, synthetic: bool) -> Drawing:
    """A finished drawing, stamped where its numbers are synthetic; arguments as in `Drawing`."""
    if synthetic:
        _stamp(figure)
    return Drawing(
        name=name,
        section=section,
        title=title,
        caption=caption,
        svg=_svg(figure, name, title),
        png=_png(figure),
        synthetic=synthetic,
    )


def _stamp(figure: Figure) -> None:
    look: Any = {"size": 44, "color": RED, "alpha": 0.13, "rotation": 18, "weight": "bold", "zorder": 1000}
    figure.text(0.5, 0.5, "SYNTHETIC", ha="center", va="center", **look)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def _svg(figure: Figure, name: str, title: str) -> str:
    """SVG that can stand inside a page: its own ids, the page's fonts, and a title to be read aloud."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _as_jpeg, text)
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", FONTS.replace("DejaVu Sans", "'DejaVu Sans'"))
    text = text.replace(", sans-serif", "")
    shown = escape(title)
    return text.replace(">", f' role="img" aria-label="{shown}"><title>{shown}</title>', 1)


def _as_jpeg(found: re.Match[str]) -> str:
    """A photograph inside the drawing as JPEG, a fifth of the PNG that matplotlib writes."""
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB").save(out, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
