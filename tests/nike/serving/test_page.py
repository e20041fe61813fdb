"""The page at / in headless Chromium: with an image, in light and dark mode, at the width of a phone, with a token."""

import json
import shutil
import threading

import pytest
import uvicorn

from nike.serving.app import create_app

BOXES = ((100, 200, 300, 700), (500, 800, 560, 900))  # of 900 x 1200: scores 0.71 and 0.54
TOKEN = "correct-horse-battery"
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright, and install Chromium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def address(gate):
    """Returns the function `address(**options of create_app)`, which starts a server and returns its address."""
    running = []

    def start(**options):
        server = uvicorn.Server(uvicorn.Config(create_app(gate, **options), port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def visit(browser, address):
    """Returns the function `visit(width, scheme, **options of create_app)`, which opens the page.

    The test fails if the page has errors or sends requests to other servers.
    """
    problems, contexts = [], []

    def open_page(width=1280, scheme="light", **options):
        url = address(default_confidence=0.6, **options)
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "blob:", "data:")) else problems.append(request.url),
        )
        page.goto(url)
        page.problems = problems
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def choose(page, data):
    page.wait_for_selector("#model:not(:empty)")
    page.set_input_files("#file", {"name": "shoe.png", "mimeType": "image/png", "buffer": data})
    page.wait_for_selector("#result:not([hidden])")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme, light", [("light", True), ("dark", False)])
def test_masks_and_the_threshold(visit, gate, photo, width, scheme, light):
    page = visit(width, scheme)
    choose(page, photo(*BOXES, height=900, width=1200))
    assert page.inner_text("#status") == "1 detected, 1 below the minimum score"
    assert page.locator("#masks path").count() == page.locator("#list li").count() == 1
    box, image = page.locator("#masks path").bounding_box(), page.locator("#photo").bounding_box()
    scale = image["width"] / 1200
    assert box["x"] - image["x"] == pytest.approx(200 * scale, abs=2)
    assert box["width"] == pytest.approx(500 * scale, abs=3)
    page.fill("#threshold", "0.5")
    assert page.inner_text("#status") == "2 detected" and page.locator("#masks path").count() == 2
    assert [text.strip() for text in page.locator("#list .score").all_inner_texts()] == ["0.71", "0.54"]
    assert gate.batches == [1]  # detection ran once
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == light


def test_downloads(visit, photo):
    page = visit()
    choose(page, photo(*BOXES, height=900, width=1200))
    with page.expect_download() as download:
        page.click("#labelme")
    assert download.value.suggested_filename == "shoe.json"
    document = json.loads(download.value.path().read_text())
    assert [shape["label"] for shape in document["shapes"]] == ["nike"]  # the other detection is below the threshold
    assert (document["imagePath"], document["imageWidth"], document["imageHeight"]) == ("shoe.png", 1200, 900)
    assert sorted(map(tuple, document["shapes"][0]["points"]))[0] == (200.5, 100.5)
    with page.expect_download() as download:
        page.click("#png")
    assert download.value.suggested_filename == "shoe_masks.png"
    assert download.value.path().read_bytes()[:4] == b"\x89PNG"


def test_the_camera(visit):
    page = visit()
    page.wait_for_selector("#model:not(:empty)")
    page.click("#camera")
    while not page.evaluate("document.getElementById('video').videoWidth"):
        page.wait_for_timeout(50)
    page.click("#shoot")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#viewfinder").is_hidden() and "detected" in page.inner_text("#status")


def test_paste(visit, photo):
    page = visit()
    page.wait_for_selector("#model:not(:empty)")
    page.evaluate(
        """(bytes) => {
            const clipboard = new DataTransfer();
            clipboard.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: clipboard }));
        }""",
        list(photo(BOXES[0], height=900, width=1200)),
    )
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#status") == "1 detected"


def test_a_file_that_is_not_an_image(visit):
    page = visit()
    page.wait_for_selector("#model:not(:empty)")
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    page.wait_for_selector("#status.error")
    assert page.locator("#result").is_hidden()
    page.problems.clear()  # the browser reports the status 422


def test_the_token(visit, photo):
    page = visit(token=TOKEN)
    page.fill("#token", TOKEN)
    page.click("#login button")
    choose(page, photo(*BOXES, height=900, width=1200))
    assert page.inner_text("#status").startswith("1 detected")
    page.problems.clear()  # the browser reports the status 401 of the first request
