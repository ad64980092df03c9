"""What all figures share: the style, the palette, and how a drawing becomes SVG and PNG.

A figure component keeps its numbers apart from its lines: `data(run)` gives them (None where there are none), `draw(data)`
puts them on paper, `caption(data)` says what is seen.
"""

import base64
import io
import re
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from study.reporting.run import Run
from study.spec import components

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)  # Okabe and Ito 2008, safe for colour-blind readers
INK, GREY, PALE = "#222222", "#767676", "#C9C9C9"
WIDTH = 6.7  # inches, the text width of a journal page
STYLE: Any = {
    "font.size": 8.5, "axes.titlesize": 9, "axes.labelsize": 8.5, "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": GREY, "axes.linewidth": 0.6, "axes.labelcolor": INK, "text.color": INK, "xtick.color": GREY, "ytick.color": GREY,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.2,
    "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "svg.fonttype": "none", "svg.hashsalt": "study",
}  # fmt: skip
PNG_DPI = 200
FONTS = "Helvetica Neue,Helvetica,Arial,Liberation Sans,DejaVu Sans,sans-serif"


class FigureComponent(Protocol):
    """What a file in `figures/` defines."""

    title: str
    section: str  # where on the page

    def data(self, run: Run) -> Any:
        """The numbers that are drawn; None where the run has none."""

    def draw(self, data: Any) -> Figure:
        """The drawing."""

    def caption(self, data: Any) -> str:
        """What is seen, in a sentence or two."""


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page and for files."""

    name: str
    section: str
    title: str
    caption: str
    svg: str
    png: bytes
    synthetic: bool


def sheet(width: float = WIDTH, height: float = 2.6) -> Figure:
    """An empty drawing of that size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def draw(name: str, run: Run) -> Drawing | None:
    """The figure of that name, or None where the run has nothing for it."""
    component: FigureComponent = components.load("figure", name)()
    data = component.data(run)
    if data is None:
        return None
    with matplotlib.rc_context(STYLE):
        return drawn(
            component.draw(data),
            name,
            component.section,
            component.title,
            component.caption(data),
            run.synthetic,
        )


def drawn(figure: Figure, name: str, section: str, title: str, caption: str, synthetic: bool) -> Drawing:
    """A finished drawing, stamped where its numbers are synthetic."""
    if synthetic:
        _stamp(figure)
    return Drawing(name, section, title, caption, _svg(figure, name, title), _png(figure), synthetic)


def _stamp(figure: Figure) -> None:
    figure.text(
        0.5, 0.5, "SYNTHETIC", size=44, color=RED, alpha=0.13, rotation=18, ha="center", va="center", weight="bold", zorder=1000
    )  # fmt: skip


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def _svg(figure: Figure, name: str, title: str) -> str:
    """SVG that can stand inside a page: ids of its own, the page's fonts, a title for readers who do not see it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _as_jpeg, text)
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", FONTS.replace("DejaVu Sans", "'DejaVu Sans'")).replace(
        ", sans-serif", ""
    )
    return text.replace(">", f' role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>', 1)


def _as_jpeg(found: re.Match[str]) -> str:
    """A photograph inside the drawing as JPEG, a fifth of the PNG that matplotlib writes."""
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB").save(out, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
