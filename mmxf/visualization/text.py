"""Antialiased text on numpy images. cv2's own fonts are strokes and look it; Pillow draws matplotlib's
DejaVu.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont


@lru_cache(maxsize=64)
def font(size: int, bold: bool = True):
    """DejaVu Sans in ``size`` pixels, which comes with matplotlib; Pillow's built-in font where that is
    absent.
    """
    spec = importlib.util.find_spec('matplotlib')
    if spec is not None and spec.origin:
        name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
        path = Path(spec.origin).parent / 'mpl-data' / 'fonts' / 'ttf' / name
        if path.exists():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def text_size(text: str, size: int, bold: bool = True) -> tuple[int, int]:
    """Width of ``text`` and height of a line, in pixels. The height does not depend on the letters."""
    f = font(size, bold)
    return round(f.getlength(text)), round(size * 1.25)


class Writer:
    """Draws texts and rounded boxes onto an RGB uint8 image; ``image()`` gives the result.

    Shapes are drawn four times as large and averaged, since Pillow does not antialias them.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.canvas = Image.fromarray(np.ascontiguousarray(image)).convert('RGB')
        self.draw = ImageDraw.Draw(self.canvas)

    def box(
        self, x: float, y: float, width: float, height: float, color, radius: float, opacity: float = 1.0
    ) -> None:
        """Rounded box with its top left corner at (x, y), in pixels."""
        scale = 4
        w, h = max(1, round(width)), max(1, round(height))
        mask = Image.new('L', (w * scale, h * scale), 0)
        ImageDraw.Draw(mask).rounded_rectangle(
            (0, 0, w * scale - 1, h * scale - 1), radius=radius * scale, fill=round(255 * opacity)
        )
        mask = mask.resize((w, h), Image.Resampling.BOX)
        self.canvas.paste(tuple(int(c) for c in color), (round(x), round(y)), mask)

    def text(
        self, x: float, y: float, text: str, size: int, color, bold: bool = True, anchor: str = 'mm'
    ) -> None:
        """``text`` at (x, y); ``anchor`` as Pillow's: 'mm' centred, 'lm' left and middle."""
        self.draw.text((x, y), text, font=font(size, bold), fill=tuple(int(c) for c in color), anchor=anchor)

    def image(self) -> np.ndarray:
        """The drawn (H, W, 3) uint8 image."""
        return np.array(self.canvas)
