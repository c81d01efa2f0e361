"""Sound and film to upload, made by code: a second or more of a tone that swells, and of a colour that changes."""

import math
from array import array
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any

import av
from PIL import Image

RATE = 48_000
_SAMPLES = 960


def _sound(stream: Any, seconds: float, mux: Any) -> None:
    """Write a tone that begins silent and ends loud."""
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
    fifo, count = av.AudioFifo(), int(seconds * RATE) // _SAMPLES
    for number in range(count):
        begin = number * _SAMPLES
        wave = (math.sin((begin + step) * 0.06) * 32_000 * number / count for step in range(_SAMPLES))
        frame = av.AudioFrame(format="s16", layout="mono", samples=_SAMPLES)
        frame.planes[0].update(array("h", map(int, wave)).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
        for converted in resampler.resample(frame):
            fifo.write(converted)
        while (ready := fifo.read(stream.codec_context.frame_size or _SAMPLES)) is not None:
            mux(stream.encode(ready))
    if (rest := fifo.read()) is not None:
        mux(stream.encode(rest))
    mux(stream.encode(None))


def _film(stream: Any, seconds: float, mux: Any) -> None:
    """Write frames whose upper left quarter is white."""
    width, height = stream.width, stream.height
    for number in range(int(seconds * 25)):
        image = Image.new("RGB", (width, height), (number * 5 % 256, 0, 128))
        image.paste((255, 255, 255), (0, 0, width // 2, height // 2))
        mux(stream.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
    mux(stream.encode(None))


@cache
def recorded(
    format: str,
    *,
    video: str | None = None,
    audio: str | None = None,
    seconds: float = 2.0,
    rotation: int = 0,
    size: tuple[int, int] = (160, 120),
    live: bool = False,
) -> bytes:
    """A file of sound, film or both.

    Args:
        format: what ffmpeg calls the container.
        video: the codec of the film; none: there is none.
        audio: that of the sound.
        rotation: degrees by which players turn the film, counterclockwise.
        live: written as it comes, without a duration: what a browser records.
    """
    out = BytesIO()
    options = {"live": "1"} if live else {}
    with av.open(out, "w", format=format, options=options) as container:
        film: Any = container.add_stream(video, rate=25) if video else None
        if film is not None:
            (film.width, film.height), film.pix_fmt = size, "yuv420p"
            if rotation:
                film.set_display_rotation(rotation)
        sound = container.add_stream(audio, rate=RATE, layout="mono") if audio else None
        if film is not None:
            _film(film, seconds, container.mux)
        if sound is not None:
            _sound(sound, seconds, container.mux)
    return out.getvalue()


def mp4(**options: Any) -> bytes:
    """H.264 and AAC."""
    return recorded("mp4", video="libx264", audio="aac", **options)


def mov(**options: Any) -> bytes:
    """The same in QuickTime."""
    return recorded("mov", video="libx264", audio="aac", **options)


def webm(**options: Any) -> bytes:
    """VP8 and Opus."""
    return recorded("webm", video="libvpx", audio="libopus", **options)


def voice(**options: Any) -> bytes:
    """A voice message as a browser records it: Opus in WebM, of unknown duration."""
    return recorded("webm", audio="libopus", live=True, **options)


def mp3(**options: Any) -> bytes:
    """MP3."""
    return recorded("mp3", audio="libmp3lame", **options)


def ogg(**options: Any) -> bytes:
    """Opus in Ogg."""
    return recorded("ogg", audio="libopus", **options)


def wav(**options: Any) -> bytes:
    """Samples of 16 bits."""
    return recorded("wav", audio="pcm_s16le", **options)


def m4a(**options: Any) -> bytes:
    """AAC in MP4, without film."""
    return recorded("ipod", audio="aac", **options)


def flac(**options: Any) -> bytes:
    """FLAC."""
    return recorded("flac", audio="flac", **options)
