"""Pictures as blocks of a report: figures, and galleries of images."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from cl_condense.reports.html.text import linked, plain, safe


@dataclass(frozen=True)
class Picture:
    """A PNG in the page; Markdown says what is in it."""

    png: bytes
    alt: str
    caption: str = ""

    def html(self) -> str:
        # Twice as many pixels as it is wide: sharp on dense screens, and text of about the page's size.
        width = int.from_bytes(self.png[16:20], "big") // 2
        caption = f"<figcaption>{linked(safe(self.caption))}</figcaption>" if self.caption else ""
        picture = f'<img src="{data_uri(self.png)}" alt="{safe(self.alt)}" width="{width}">'
        return f'<figure class="plot">{picture}{caption}</figure>'

    def markdown(self) -> str:
        return plain(f"Figure in the HTML page: {self.alt}" + (f". {self.caption}" if self.caption else ""))


class Strip(NamedTuple):
    """Images of a class side by side."""

    name: str
    png: bytes
    size: tuple[int, int]
    alt: str


@dataclass(frozen=True)
class Gallery:
    """Strips with the names of their classes: a row a class, with a strip for each name of a column."""

    rows: Sequence[Sequence[Strip]]
    caption: str
    columns: Sequence[str] = ()

    def html(self) -> str:
        names = "".join(f'<th scope="col">{safe(name)}</th>' for name in self.columns)
        head = f"<thead><tr><td></td>{names}</tr></thead>" if names else ""
        rows = "\n".join(
            f'<tr><th scope="row">{safe(row[0].name)}</th>{"".join(map(self._cell, row))}</tr>'
            for row in self.rows
        )
        kind = "gallery pairs" if names else "gallery"
        return (
            f'<figure><div class="scroll" tabindex="0"><table class="{kind}">{head}<tbody>\n'
            f"{rows}\n</tbody></table></div>"
            f"<figcaption>{linked(safe(self.caption))}</figcaption></figure>"
        )

    @staticmethod
    def _cell(s: Strip) -> str:
        size = f'width="{s.size[0]}" height="{s.size[1]}"'
        return f'<td><img src="{data_uri(s.png)}" alt="{safe(s.alt)}" {size}></td>'

    def markdown(self) -> str:
        return plain(f"Gallery in the HTML page: {self.caption}")


def strip(name: str, images: Tensor, what: str) -> Strip:
    """uint8 images ``[n, c, h, w]`` side by side, as they are; small ones are shown magnified."""
    n, c, h, w = images.shape
    scale = max(1, round(48 / max(h, w)))
    sheet = Image.new("RGBA", (n * (w + 1) - 1, h))
    for i, image in enumerate(images):
        pixels = (image if c == 3 else image[:1].expand(3, -1, -1)).permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (i * (w + 1), 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    size = (sheet.width * scale, h * scale)
    return Strip(name, buffer.getvalue(), size, f"{name}: {n} {what}")


def data_uri(png: bytes) -> str:
    """A PNG as an address that loads nothing."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
