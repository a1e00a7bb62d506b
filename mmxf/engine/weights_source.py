"""Where weights come from: a file, a URL, a repository of the Hugging Face Hub, or a list of those to try in turn.

    work_dirs/run/iter_1000.pth
    https://example.org/kmax_r50-1a2b3c4d.safetensors#sha256=1a2b3c4d...
    hub://owner/name                       its model.safetensors
    hub://owner/name@v1.0/folder/kmax.pth
    ['https://mirror.one/x.pth', 'hub://owner/name/x.pth']
    dict(urls=[...], sha256='1a2b3c4d...')

Downloads are kept in torch's cache, whole or not at all, and fetched by one process of a machine.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmxf.config.errors import UserError

HUB_FILE = 'model.safetensors'
_HUB = re.compile(r'hub://([^/@\s]+/[^/@\s]+)(?:@([^/\s]+))?(?:/(\S+))?$')
_NAMED_SUM = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
TIMEOUT = 30


class WeightsError(UserError):
    """Weights that cannot be had; the message says what was tried."""


def is_remote(source: object) -> bool:
    """Whether a source is more than the path of a file."""
    return isinstance(source, (list, tuple, Mapping)) or isinstance(source, str) and \
        source.startswith(('http://', 'https://', 'hub://'))


def offline() -> bool:
    """Whether nothing may be downloaded: MMXF_OFFLINE=1 or HF_HUB_OFFLINE=1."""
    return any(os.environ.get(name, '') not in ('', '0') for name in ('MMXF_OFFLINE', 'HF_HUB_OFFLINE'))


def cache_folder() -> Path:
    """MMXF_CACHE, or torch's folder of checkpoints."""
    if os.environ.get('MMXF_CACHE'):
        return Path(os.environ['MMXF_CACHE']).expanduser()
    import torch

    return Path(torch.hub.get_dir()) / 'checkpoints'


def web_address(source: str) -> tuple[str, str | None]:
    """URL and SHA-256 (or its beginning; None where nobody says) of a source.

    Raises:
        WeightsError: for a Hub id that is none.
    """
    source, _, fragment = source.partition('#')
    wanted = fragment.removeprefix('sha256=').lower() if fragment.startswith('sha256=') else None
    if source.startswith('hub://'):
        match = _HUB.match(source)
        if match is None:
            raise WeightsError(f'{source} is no Hub id; expected hub://owner/name, hub://owner/name/file or '
                               'hub://owner/name@revision/file')
        repository, revision, file = match.groups()
        host = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
        source = f'{host}/{repository}/resolve/{revision or "main"}/{file or HUB_FILE}'
    named = _NAMED_SUM.search(source.partition('?')[0])
    return source, wanted or (named.group(1) if named else None)


def cached_path(url: str) -> Path:
    """Where a URL's file is kept; files of one name from several places do not meet."""
    name = os.path.basename(url.partition('?')[0]) or 'weights'
    return cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:8] / name


def sha256_of(path: str | os.PathLike) -> str:
    """Of a file."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def locate(source: str | Sequence[str] | Mapping) -> str:
    """The local file of a source, downloaded where it is remote.

    Args:
        source: see the top of this file. A local path is returned as it is.

    Raises:
        WeightsError: no source works; says of each why, and what to do.
    """
    wanted = None
    if isinstance(source, Mapping):
        wanted = source.get('sha256')
        urls = source.get('urls', source.get('url'))
        if not urls or set(source) - {'urls', 'url', 'sha256'}:
            raise WeightsError(f"load_from as a dict has 'urls' and perhaps 'sha256', got {sorted(source)}")
        source = urls
    sources = [source] if isinstance(source, str) else list(source)
    if not sources:
        raise WeightsError('load_from is an empty list; give a file, a URL or a Hub id')
    reasons = []
    for one in sources:
        try:
            if not is_remote(one):
                return _local(str(one), wanted, alone=len(sources) == 1)
            url, known = web_address(one)
            return str(_download(url, wanted or known))
        except WeightsError as error:
            reasons.append(str(error))
    text = 'none of the places of the weights can be used:\n  ' if len(reasons) > 1 else ''
    raise WeightsError(text + '\n  '.join(reasons))


def _local(path: str, wanted: str | None, alone: bool) -> str:
    plain, _, fragment = path.partition('#sha256=')
    wanted = wanted or fragment or None
    if not os.path.isfile(os.path.expanduser(plain)):
        if alone and not wanted:
            return plain        # whoever opens it says so, and what lies beside it
        raise WeightsError(f'{plain}: no such file')
    if wanted:
        _check(Path(plain).expanduser(), wanted, plain)
    return plain


def _check(path: Path, wanted: str, what: str) -> None:
    found = sha256_of(path)
    if not found.startswith(wanted.lower()):
        raise WeightsError(f'{what} has the SHA-256 {found}, expected {wanted}: it was changed, or the download broke off')


def _download(url: str, wanted: str | None) -> Path:
    target = cached_path(url)
    # A file that somebody put into torch's cache by hand serves, if its sum is known.
    by_hand = cache_folder() / target.name
    if wanted and by_hand.is_file() and sha256_of(by_hand).startswith(wanted):
        return by_hand
    with _alone(target):
        if target.is_file():
            if wanted:
                _check(target, wanted, f'{target} (of {url}; delete it to download it again)')
            return target
        if offline():
            raise WeightsError(f'{url} is not in the cache, and downloads are switched off (MMXF_OFFLINE, HF_HUB_OFFLINE); '
                               f'download it elsewhere and put it at {target}')
        part = target.with_name(f'.{target.name}.{os.getpid()}.part')
        try:
            request = urllib.request.Request(url, headers=_headers(url))
            opener = urllib.request.build_opener(_TokenStaysHome)
            with opener.open(request, timeout=TIMEOUT) as answer, open(part, 'wb') as file:
                length, done = answer.headers.get('Content-Length'), 0
                while block := answer.read(1 << 20):
                    file.write(block)
                    done += len(block)
            if length is not None and done != int(length):
                raise WeightsError(f'{url} broke off after {done} of {length} bytes; try again')
            if wanted:
                _check(part, wanted, url)
            os.replace(part, target)
        except urllib.error.HTTPError as error:
            hint = ': is it private, and HF_TOKEN not set?' if error.code in (401, 403) else ': is the address right?' \
                if error.code == 404 else ''
            raise WeightsError(f'{url} answers {error.code} {error.reason}{hint}') from None
        except (OSError, ValueError) as error:
            raise WeightsError(f'{url} cannot be reached ({getattr(error, "reason", None) or error}); offline, download it '
                               f'elsewhere and put it at {target}') from None
        finally:
            part.unlink(missing_ok=True)
    return target


def _headers(url: str) -> dict[str, str]:
    headers, token = {'User-Agent': 'mmxf'}, os.environ.get('HF_TOKEN')
    host = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    if token and url.startswith(host + '/'):
        headers['Authorization'] = f'Bearer {token}'
    return headers


class _TokenStaysHome(urllib.request.HTTPRedirectHandler):
    """The Hub sends on to the host of its large files, with a signed address; the token is not for that host, which may refuse
    a request that has both."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urllib.parse.urlsplit(newurl)[:2] != urllib.parse.urlsplit(req.full_url)[:2]:
            request.remove_header('Authorization')
        return request


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a time, so that those that come later find what the first has fetched."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:     # no such locks on this system
        yield
        return
    with open(target.with_name(f'.{target.name}.lock'), 'w') as lock:
        with contextlib.suppress(OSError):      # some network file systems have none
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
