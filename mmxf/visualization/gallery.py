"""A folder of pictures as one HTML page that opens without a server: thumbnails inside, the pictures behind them."""
import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

PICTURES = ('.png', '.jpg', '.jpeg', '.webp')
SIDE = 420          # of a thumbnail, pixels
EMBEDDED = 1000     # thumbnails inside the page; of more the pictures themselves are shown, as they scroll into view

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body{{font:15px/1.45 system-ui,sans-serif;margin:0;background:#fafaf8;color:#26282e}}
header{{position:sticky;top:0;background:#fafaf8;padding:14px 20px;border-bottom:1px solid #e3e3df}}
h1{{font-size:18px;margin:0 0 6px}} input{{font:inherit;padding:4px 8px;width:18em;max-width:60%}}
.numbers{{color:#787c86;font-size:13px}} .numbers b{{color:#26282e;margin-right:1em}}
main{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(420px,100%),1fr));gap:16px;padding:20px}}
figure{{margin:0}} img{{width:100%;display:block;border-radius:4px;background:#eee}}
figcaption{{color:#787c86;font-size:12px;padding-top:3px;overflow-wrap:anywhere}}
</style></head><body>
<header><h1>{title}</h1><div class="numbers">{numbers}</div>
<input type="search" placeholder="name contains ..." aria-label="name contains"
oninput="for(const f of document.querySelectorAll('figure'))f.hidden=!f.dataset.name.includes(this.value.toLowerCase())">
<span class="numbers">{count} pictures; a click opens one</span></header>
<main>
{figures}
</main></body></html>
"""


def thumbnail(path: Path, side: int = SIDE) -> str | None:
    """A picture as a data URI of a small JPEG, None where it cannot be read."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        return None
    scale = side / max(image.shape[0], image.shape[1] / 2)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode() if done else None


def find_pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, by name."""
    return sorted(path for path in folder.rglob('*') if path.suffix.lower() in PICTURES)


def write_gallery(folder: Path | str, title: str, metrics: Mapping | None = None,
                  files: Sequence[Path] | None = None) -> Path | None:
    """Writes `index.html` into a folder.

    Args:
        folder: of the pictures; links are relative to it, so that it can be moved.
        title: of the page.
        metrics: numbers to show at its head.
        files: the pictures; default: all below the folder.

    Returns:
        the page, None without a picture.
    """
    folder = Path(folder)
    files = find_pictures(folder) if files is None else list(files)
    if not files:
        return None
    figures = []
    for number, path in enumerate(files):
        name = path.relative_to(folder).as_posix()
        link = html.escape(name.replace('%', '%25').replace('#', '%23').replace('?', '%3F'), quote=True)
        source = thumbnail(path) if number < EMBEDDED else link
        if source is None:
            continue
        caption = html.escape(name)
        figures.append(f'<figure data-name="{html.escape(name.lower(), quote=True)}"><a href="{link}"><img loading="lazy" '
                       f'alt="{html.escape(name, quote=True)}" src="{source}"></a><figcaption>{caption}</figcaption></figure>')
    numbers = ' '.join(f'{html.escape(str(key))} <b>{value:.4g}</b>' for key, value in (metrics or {}).items()
                       if isinstance(value, (int, float)))
    page = folder / 'index.html'
    page.write_text(_PAGE.format(title=html.escape(title), numbers=numbers, count=len(figures), figures='\n'.join(figures)),
                    encoding='utf-8')
    return page
