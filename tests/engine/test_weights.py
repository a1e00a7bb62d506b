"""Weights from files, servers, the Hub and mirrors; what a partial load did; safetensors."""
import hashlib
import http.server
import json
import struct
import threading

import pytest
import torch

from mmxf.engine import safetensors_io
from mmxf.engine.load_report import compare_keys
from mmxf.engine.weights_source import WeightsError, cached_path, is_remote, locate, web_address


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An HTTP server of tmp_path/served; `server.asked` lists the paths that were asked for. The cache is empty."""
    served = tmp_path / 'served'
    served.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    found.asked, found.folder, found.url = asked, served, f'http://127.0.0.1:{found.server_port}'
    for name in ('MMXF_OFFLINE', 'HF_HUB_OFFLINE', 'HF_TOKEN', 'http_proxy', 'HTTP_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('MMXF_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('HF_ENDPOINT', found.url)
    yield found
    found.shutdown()
    found.server_close()


def put(server, path: str, data: bytes = b'weights') -> str:
    target = server.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_url_is_fetched_once(server):
    total = put(server, 'a.pth')
    path = locate(f'{server.url}/a.pth#sha256={total}')
    assert open(path, 'rb').read() == b'weights'
    assert locate(f'{server.url}/a.pth#sha256={total}') == path and server.asked == ['/a.pth']


def test_hub_ids_become_addresses(server):
    put(server, 'owner/net/resolve/main/model.safetensors')
    put(server, 'owner/net/resolve/v1/deep/x.pth', b'other')
    assert open(locate('hub://owner/net'), 'rb').read() == b'weights'
    assert open(locate('hub://owner/net@v1/deep/x.pth'), 'rb').read() == b'other'
    with pytest.raises(WeightsError, match='expected hub://owner/name'):
        web_address('hub://net')


def test_the_token_goes_to_the_hub_alone(server, monkeypatch):
    """The Hub's ways to a file: within its host, and on to another host's signed address."""
    put(server, 'large.bin', b'large')
    seen = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path.rpartition('/')[2], self.headers['Authorization']))
            near = self.path.endswith('x.pth')
            self.send_response(307 if near else 302)
            self.send_header('Location', '/cache/model.safetensors' if near else f'{server.url}/large.bin')
            self.end_headers()

        def log_message(self, *args):
            pass

    asked = server.RequestHandlerClass
    told, get = [], asked.do_GET
    monkeypatch.setattr(asked, 'do_GET', lambda self: (told.append(self.headers['Authorization']), get(self)))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{hub.server_port}')
        monkeypatch.setenv('HF_TOKEN', 'secret')
        assert open(locate('hub://owner/net@v1/x.pth'), 'rb').read() == b'large'
        hub.shutdown()
    assert seen == [('x.pth', 'Bearer secret'), ('model.safetensors', 'Bearer secret')]
    assert told == [None]


def test_mirrors_are_tried_in_turn_and_sums_decide(server):
    total = put(server, 'good.pth')
    put(server, 'bad.pth', b'changed')
    source = dict(urls=[f'{server.url}/gone.pth', f'{server.url}/bad.pth', f'{server.url}/good.pth'], sha256=total)
    assert open(locate(source), 'rb').read() == b'weights'
    assert server.asked == ['/gone.pth', '/bad.pth', '/good.pth']
    assert not cached_path(f'{server.url}/bad.pth').exists(), 'what does not match is not kept'
    with pytest.raises(WeightsError, match='(?s)404.*SHA-256') as error:
        locate(dict(urls=source['urls'][:2], sha256=total))
    assert 'gone.pth' in str(error.value) and 'bad.pth' in str(error.value)


def test_the_sum_in_a_name_counts(server):
    put(server, 'net-0123abcd.pth')
    with pytest.raises(WeightsError, match='expected 0123abcd'):
        locate(f'{server.url}/net-0123abcd.pth')


def test_offline_takes_the_cache_or_says_where_to_put_the_file(server, monkeypatch):
    put(server, 'a.pth')
    path = locate(f'{server.url}/a.pth')
    monkeypatch.setenv('MMXF_OFFLINE', '1')
    assert locate(f'{server.url}/a.pth') == path
    with pytest.raises(WeightsError, match='switched off') as error:
        locate(f'{server.url}/b.pth')
    assert str(cached_path(f'{server.url}/b.pth')) in str(error.value)
    assert server.asked == ['/a.pth']


def test_local_files_and_wrong_sources(tmp_path, server):
    (tmp_path / 'a.pth').write_bytes(b'weights')
    path = str(tmp_path / 'a.pth')
    assert locate(path) == path and not is_remote(path)
    assert locate([str(tmp_path / 'none.pth'), path]) == path
    with pytest.raises(WeightsError, match='SHA-256'):
        locate(dict(urls=path, sha256='00'))
    with pytest.raises(WeightsError, match="'urls'"):
        locate(dict(file=path))
    with pytest.raises(WeightsError, match='empty list'):
        locate([])


def test_safetensors_round_trip_and_layout():
    tensors = dict(a=torch.arange(6.).view(2, 3), b=torch.tensor([True, False]), c=torch.ones(2, dtype=torch.bfloat16),
                   none=torch.zeros(0, 4), one=torch.tensor(7), sliced=torch.arange(8)[::2])
    data = safetensors_io.pack(tensors, {'format': 'pt'})
    length = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + length])
    assert header['a'] == dict(dtype='F32', shape=[2, 3], data_offsets=[0, 24]) and (8 + length) % 8 == 0
    found, texts = safetensors_io.unpack(data)
    assert texts == {'format': 'pt'} and list(found) == list(tensors)
    for key, value in tensors.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value)
    with pytest.raises(ValueError, match='x.safetensors is cut off'):
        safetensors_io.unpack(data[:-4], 'x.safetensors')


def test_others_read_our_safetensors(tmp_path):
    reader = pytest.importorskip('safetensors.torch')
    (tmp_path / 'x.safetensors').write_bytes(safetensors_io.pack(dict(a=torch.arange(5), b=torch.rand(2, 2))))
    assert torch.equal(reader.load_file(tmp_path / 'x.safetensors')['a'], torch.arange(5))


def test_every_key_is_told():
    def t(*shape):
        return torch.zeros(shape)

    model = {'backbone.conv.weight': t(4, 3), 'backbone.extra': t(2), 'head.cls.weight': t(5, 4), 'head.cls.bias': t(5),
             'head.box.weight': t(16, 4), 'head.embed': t(9, 4), 'neck.a.weight': t(2, 2)}
    checkpoint = {'backbone.conv.weight': t(4, 3), 'head.cls.weight': t(81, 4), 'head.cls.bias': t(81),
                  'head.box.weight': t(320, 4), 'head.embed': t(7, 4), 'head.old': t(1), 'teacher.x': t(3)}
    report = compare_keys(model, checkpoint, (80, 4))
    assert report.loaded == ['backbone.conv.weight']
    assert [key for key, _, _ in report.classes] == ['head.cls.weight', 'head.cls.bias', 'head.box.weight']
    assert report.new == ['neck.a.weight'] and report.unused == ['teacher.x']
    assert [key for key, _ in report.suspicious] == ['backbone.extra', 'head.embed', 'head.old']
    assert 'suspicious  head.embed: (7, 4) in the checkpoint, (9, 4) in the model' in report.text()
    assert '3 start anew because of the number of classes' in report.summary()


def test_a_wrong_prefix_is_suspected():
    report = compare_keys({'backbone.layer.conv.weight': torch.zeros(3, 2)}, {'net.layer.conv.weight': torch.zeros(3, 2)})
    assert "which has 'net.layer.conv.weight' of the same shape: another prefix?" in report.suspicious[0][1]


def test_an_unknown_number_of_classes_is_no_excuse():
    report = compare_keys({'head.w': torch.zeros(5, 4)}, {'head.w': torch.zeros(81, 4)}, None)
    assert not report.classes and len(report.suspicious) == 1
