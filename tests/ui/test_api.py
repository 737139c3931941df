"""What programs may ask of the page, and what strangers may not: the API, odd uploads, files and addresses."""

from __future__ import annotations

import http.client
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from explorer.zoo.registry import entries

MODEL = "demo/V-19-slim-dw"
LONGEST_S = 5.0

gradio_client = pytest.importorskip("gradio_client")


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[Any]:
    client = gradio_client.Client(served.url, verbose=False)
    yield client
    client.close()


def detect(client: Any, photo: Path, models: tuple[str, ...] = (MODEL,), lowest_score: float = 0.5) -> Any:
    return client.predict(gradio_client.handle_file(str(photo)), list(models), lowest_score, api_name="/detect")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An aerial scene of 640 × 480 px."""
    from explorer.data.aerial import render_scene

    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(render_scene(7, layout="airfield").image[:, :, ::-1].copy()).save(path)
    return path


def test_only_what_is_meant_for_programs_is_offered(client: Any) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/detect", "/models"}
    names = [parameter["parameter_name"] for parameter in endpoints["/detect"]["parameters"]]
    assert names == ["image", "of_models", "lowest_score"]


def test_detections_by_api_are_the_librarys(client: Any, scene: Path) -> None:
    from explorer import load_detector, read_image

    assert client.predict(api_name="/models")[:2] == [MODEL, "demo/MobileNetV2"]
    answer = detect(client, scene)
    found = load_detector(MODEL).detect(read_image(scene)).detections
    found = found.keep(found.scores >= 0.5)
    results = answer["models"][MODEL]["results"]
    assert answer["image"] == {"id": 1, "file_name": "scene.png", "height": 480, "width": 640}
    assert [result["score"] for result in results] == pytest.approx(found.scores.tolist(), abs=1e-4)
    corners = np.array([result["bbox"] for result in results])
    corners[:, 2:] += corners[:, :2]
    np.testing.assert_allclose(corners, found.boxes_xyxy, atol=0.02)
    names = {one["id"]: one["name"] for one in answer["models"][MODEL]["categories"]}
    assert [names[result["category_id"]] for result in results] == [found.class_names[index] for index in found.classes]


def test_two_models_and_a_score(client: Any, scene: Path) -> None:
    few, many = (detect(client, scene, (MODEL, "demo/MobileNetV2"), score)["models"] for score in (0.8, 0.1))
    assert list(few) == [MODEL, "demo/MobileNetV2"]
    for name, model in few.items():
        assert len(model["results"]) < len(many[name]["results"])
        assert all(result["score"] >= 0.8 for result in model["results"])


def test_a_model_whose_source_refuses_costs_nobody_else_anything(client: Any, scene: Path) -> None:
    refused = next(entry.name for entry in entries() if entry.config and "refuses" in entry.status)
    answer = detect(client, scene, (refused, MODEL))
    assert list(answer["models"]) == [MODEL]
    assert "source refuses since 2025" in answer["unavailable"][refused]


def test_the_readmes_example_works(served: Any, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (example,) = [block for block in readme.split("```python\n") if block.startswith("from gradio_client")]
    code = example.partition("```")[0].replace("http://127.0.0.1:7860", served.url).replace("photo.jpg", str(scene))
    exec(compile(code, "README.md", "exec"), {})
    assert int(capsys.readouterr().out.splitlines()[-1].split()[0]) > 0


# Odd uploads: each is answered or refused in words within five seconds, and the next photo is answered as ever.

PIXELS = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    return saved(Image.fromarray(PIXELS), "JPEG", exif=exif)


PHOTO = Image.fromarray(PIXELS)
DEPTHS = np.random.default_rng(0).integers(0, 65535, (120, 160)).astype(np.uint16)
ANSWERED: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "photo.jpg": (lambda: saved(PHOTO, "JPEG"), (120, 160)),
    "photo.webp": (lambda: saved(PHOTO, "WEBP"), (120, 160)),
    "png.jpg": (lambda: saved(PHOTO, "PNG"), (120, 160)),
    "photo.svg": (lambda: saved(PHOTO, "PNG"), (120, 160)),
    "turned.jpg": (turned, (160, 120)),
    "cmyk.jpg": (lambda: saved(PHOTO.convert("CMYK"), "JPEG"), (120, 160)),
    "16bit.png": (lambda: saved(Image.fromarray(DEPTHS), "PNG"), (120, 160)),
    "alpha.png": (lambda: saved(PHOTO.convert("RGBA"), "PNG"), (120, 160)),
    "pixel.png": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), (1, 1)),
    "photo.bmp": (lambda: saved(PHOTO, "BMP"), (120, 160)),
    "photo.tif": (lambda: saved(PHOTO, "TIFF"), (120, 160)),
    "16bit.tiff": (lambda: saved(Image.fromarray(DEPTHS), "TIFF"), (120, 160)),
    "line.png": (lambda: saved(Image.new("RGB", (1, 5000)), "PNG"), (5000, 1)),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "words.png": (lambda: b"no picture", "not a JPEG, PNG, WebP, BMP or TIFF"),
    "cut.jpg": (lambda: saved(PHOTO, "JPEG")[:2000], "damaged or cut off"),
    "empty.png": (lambda: b"", "empty"),
    "drawing.svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>', "not a JPEG"),
    "moving.gif": (lambda: saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]), "not a JPEG"),
    "bomb.png": (lambda: saved(Image.new("1", (20_000, 20_000)), "PNG"), "Make the image smaller"),
    "large.png": (lambda: saved(Image.new("1", (9_000, 9_000)), "PNG"), "Make the image smaller"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_odd_photos_are_answered(name: str, client: Any, tmp_path: Path) -> None:
    make, size = ANSWERED[name]
    (tmp_path / name).write_bytes(make())
    image = detect(client, tmp_path / name)["image"]
    assert (image["height"], image["width"]) == size


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_photo_is_refused_in_words(name: str, client: Any, tmp_path: Path) -> None:
    make, reason = REFUSED[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(gradio_client.exceptions.AppError, match=reason) as told:
        detect(client, tmp_path / name)
    assert str(told.value).startswith(f"{name}: ")  # nor does it say where the server keeps it


def upload(served: Any, name: str, content: bytes) -> tuple[int, bytes]:
    """Posts a file as the page does; returns the status and the answer."""
    head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    request = urllib.request.Request(
        f"{served.url}gradio_api/upload",
        head + content + b"\r\n--B--\r\n",
        {"Content-Type": "multipart/form-data; boundary=B"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_a_file_of_50_mb_is_refused_where_others_reach_the_page(serve_page: Any, tmp_path: Path) -> None:
    with serve_page(tmp_path, host="0.0.0.0") as served:
        try:
            status, _ = upload(served, "big.jpg", bytes(50_000_000))
        except urllib.error.URLError as error:
            status = 413 if isinstance(error.reason, ConnectionError) else 0  # it hung up before it had all
        assert status == 413
        assert not [path for path in served.uploads.rglob("*") if path.is_file() and path.stat().st_size > 30 * 2**20]


def test_a_photo_of_50_mb_is_refused(client: Any, tmp_path: Path) -> None:
    with pytest.raises(gradio_client.exceptions.AppError, match="larger than 30 MB"):
        detect(client, _written(tmp_path, "big.jpg", bytes(50_000_000)))
    assert detect(client, _written(tmp_path, "next.png", saved(PHOTO, "PNG")))["image"]["width"] == 160


@pytest.mark.slow
def test_odd_uploads_take_no_longer_than_five_seconds(client: Any, tmp_path: Path) -> None:
    detect(client, _written(tmp_path, "first.jpg", saved(PHOTO, "JPEG")))  # the model is loaded
    for name, (make, _) in {**ANSWERED, **REFUSED}.items():
        path = _written(tmp_path, name, make())
        start = time.perf_counter()
        try:
            detect(client, path)
        except gradio_client.exceptions.AppError:
            assert name in REFUSED
        assert time.perf_counter() - start < LONGEST_S, name


def _written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


# Strangers: no file outside the uploads, no address, no model that is not in the list.


def get(served: Any, path: str) -> tuple[int, bytes]:
    """Asks for a path as it stands: urllib and browsers would tidy it up."""
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


SECRET = "/etc/passwd"
WAYS = [
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../../../../../etc/passwd",
    "/gradio_api/file=%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/gradio_api/file=..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/gradio_api/file=%252e%252e%252fetc%252fpasswd",
    "/gradio_api/file={uploads}/../../../../../../etc/passwd",
    "/gradio_api/file={uploads}%00/etc/passwd",
    "/gradio_api/file=//etc/passwd",
    "/gradio_api/file=file:///etc/passwd",
    "/gradio_api/file/etc/passwd",
    "/static/../../../../../../etc/passwd",
    "/assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/svelte/../../../../../etc/passwd",
    "/gradio_api/custom_component/0/client/component/..%2f..%2f..%2fetc%2fpasswd",
]


@pytest.mark.parametrize("way", WAYS)
def test_no_file_outside_the_uploads_is_given_out(way: str, served: Any) -> None:
    status, said = get(served, way.format(uploads=served.uploads))
    assert b"root:" not in said
    assert status >= 400


@pytest.mark.parametrize(
    "path", ["app.py", "pyproject.toml", "explorer/zoo/weights/MobileNetV2/MobileNetV2.safetensors"]
)
def test_nor_the_projects_own_files(path: str, served: Any) -> None:
    root = Path(__file__).resolve().parents[2]
    for place in (path, str(root / path)):
        assert get(served, f"/gradio_api/file={place}")[0] in (403, 404)


@pytest.mark.parametrize("route", ["file", "proxy"])
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/", "https://example.org/a.png", "HTTP://example.org", "ftp://a/b"]
)
def test_no_address_is_fetched(route: str, address: str, served: Any) -> None:
    status, said = get(served, f"/gradio_api/{route}={address}")
    assert (status, said) == (403, b"URLs are not opened here.")


@pytest.mark.parametrize(
    "place",
    [
        {"path": SECRET},
        {"path": "../../../../etc/passwd"},
        {"path": "https://example.org/photo.png"},
        {"path": "http://127.0.0.1:9/photo.png"},
        {"path": "file:///etc/passwd"},
        {"url": "http://127.0.0.1:9/photo.png"},
        {"url": "data:image/png;base64,aGVsbG8="},
    ],
)
def test_a_photo_is_an_upload_and_nothing_else(place: dict[str, str], served: Any) -> None:
    said = call(served, {**place, "meta": {"_type": "gradio.FileData"}}, [MODEL])
    assert "error" in said
    assert "complete" not in said
    assert "root:" not in said


@pytest.mark.parametrize("model", [SECRET, "output/model_final.pth", "https://example.org/model.pth", "../config.yaml"])
def test_a_model_is_one_of_the_list(model: str, served: Any) -> None:
    _, paths = upload(served, "photo.png", saved(PHOTO, "PNG"))
    said = call(served, {"path": json.loads(paths)[0], "meta": {"_type": "gradio.FileData"}}, [model])
    assert "error" in said
    assert "complete" not in said


def call(served: Any, photo: dict[str, Any], models: list[str]) -> str:
    """Calls `detect` without the client, which would read files itself; returns the events as text."""
    body = json.dumps({"data": [photo, models, 0.5]}).encode()
    request = urllib.request.Request(f"{served.url}gradio_api/call/detect", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{served.url}gradio_api/call/detect/{event}", timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return f"error {error.code} {error.read().decode()}"


def test_it_listens_on_this_machine_alone(served: Any) -> None:
    port = urlsplit(served.url).port
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port:04X}"]
