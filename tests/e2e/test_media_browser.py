"""A film in a real browser: it plays by a signed link, jumps to its end, and the browser asks for ranges to do so."""

import random
from collections.abc import Callable
from io import BytesIO
from typing import Any

import av
from PIL import Image
from playwright.async_api import Browser, Response

from tests.harness.rest import Api

PAGE = """
<!doctype html><title>film</title><video id="film" src="{url}" muted playsinline preload="metadata"></video>
"""
AT_END = """
async () => {
    const film = document.getElementById("film");
    if (film.readyState < 1) await new Promise((done, fail) => {
        film.onloadedmetadata = done; film.onerror = () => fail(new Error(film.error.message));
    });
    const jumped = new Promise((done) => { film.onseeked = done; });
    film.currentTime = film.duration - 0.5;
    await jumped;
    const ended = new Promise((done, fail) => { film.onended = done; film.onerror = () => fail(film.error); });
    await film.play();
    await ended;
    return [film.duration, film.videoWidth, film.videoHeight, film.currentTime];
}
"""


SIZE, SECONDS, RATE = (320, 240), 8, 10


def noise() -> bytes:
    """A film in WebM of which no browser fetches all to begin with: some megabytes, its index at the end."""
    out, chance = BytesIO(), random.Random(1)
    with av.open(out, "w", format="webm") as container:
        stream: Any = container.add_stream("libvpx", rate=RATE)
        (stream.width, stream.height), stream.pix_fmt, stream.bit_rate = SIZE, "yuv420p", 4_000_000
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for _ in range(SECONDS * RATE):
            image = Image.frombytes("RGB", SIZE, chance.randbytes(SIZE[0] * SIZE[1] * 3))
            container.mux(stream.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode(None))
    return out.getvalue()


async def test_a_film_is_played(browser: Browser, home: str, api: Callable[..., Api]) -> None:
    alice = api("alice")
    data = noise()
    answer = await alice("POST", "/v1/media?name=film.webm", raw=data, Content_Type="video/webm", Prefer="wait=60")
    assert (answer.status, answer.body["state"]) == (201, "ready"), answer
    film = answer.body
    urls = {variant["name"]: variant["url"] for variant in film["variants"]}
    assert set(urls) >= {"original", "poster"}
    answers: list[Response] = []
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.on("response", lambda response: answers.append(response) if "/original" in response.url else None)
        shown = PAGE.format(url=urls["original"])
        await page.route(f"{home}/film.html", lambda route: route.fulfill(body=shown, content_type="text/html"))
        await page.goto(f"{home}/film.html")
        duration, width, height, reached = await page.evaluate(AT_END)
        asked = [await answer.request.header_value("range") for answer in answers]
    finally:
        await context.close()
    assert abs(duration - film["duration"]) < 0.5
    assert (width, height) == (film["width"], film["height"])
    assert reached >= duration - 0.2
    assert {answer.status for answer in answers} == {206}
    assert any(wanted is not None and not wanted.startswith("bytes=0-") for wanted in asked), asked
