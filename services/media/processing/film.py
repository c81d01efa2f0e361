"""Films: what they are like, and a frame to show for them. Nothing is written anew. Runs in the child."""

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from services.media.processing.containers import check_complete
from services.media.processing.demuxing import check_codec, opened
from services.media.processing.product import Bounds, Facts, Made, Product
from services.media.processing.thumbnails import SIZES, placeholder, shrunk, thumbnails, write_webp
from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal, VariantName

_POSTER_AT = 1.0
"""Seconds into a film whose frame is shown for it: the first ones are often black."""

_POSTER_FRAMES = 60
_MAX_ERRORS = 200
"""Packets that may fail before the first frame."""


def look_at_video(source: Path, room: Path, mime_type: str, bounds: Bounds) -> Product:
    """A film's size, duration and poster.

    Raises:
        Refused: `type_mismatch` where it has no moving picture, `dimensions`, `type_refused` for a codec that is not
            taken, `damaged`.
    """
    check_complete(source, mime_type)
    with opened(source, mime_type) as film:
        if film.video is None:
            raise Refused(Refusal.TYPE_MISMATCH, "The film has no picture: send it as kind 'audio'.")
        check_codec(film.video)
        width, height = film.video.codec_context.width, film.video.codec_context.height
        if width * height > bounds.pixels or width * height == 0:
            raise Refused(
                Refusal.DIMENSIONS, f"The film has {width} x {height} pixels; {bounds.pixels} are taken at most."
            )
        size, still = _still(film.container, film.video)
    duration = _duration(source, mime_type)
    poster = write_webp(shrunk(still, SIZES[VariantName.LARGE]), room / "poster.webp")
    smaller = {name: SIZES[name] for name in (VariantName.SMALL, VariantName.MEDIUM)}
    made: dict[VariantName, Made] = {VariantName.POSTER: poster} | thumbnails(still, room, smaller)
    return Product(Facts(width=size[0], height=size[1], duration=duration, placeholder=placeholder(still)), made)


def _still(container: InputContainer, stream: VideoStream) -> tuple[tuple[int, int], Image.Image]:
    """A film's size as it is shown, and a frame of its beginning, not larger than the largest thumbnail."""
    best, begin = None, None
    for number, frame in enumerate(_frames(container, stream)):
        best, at = frame, frame.time or 0.0
        begin = at if begin is None else begin
        if number >= _POSTER_FRAMES or at - begin >= _POSTER_AT:
            break
    if best is None:
        raise Refused(Refusal.DAMAGED, "No frame of the film can be decoded.")
    aspect = stream.sample_aspect_ratio or 1
    width, height = max(1, round(best.width * aspect)), best.height
    turned = best.rotation % 180 == 90
    factor = min(1.0, SIZES[VariantName.LARGE] / max(width, height))
    image: Image.Image = best.to_image(  # type: ignore[no-untyped-call]
        width=max(1, round(width * factor)), height=max(1, round(height * factor))
    )
    if best.rotation:
        image = image.rotate(best.rotation, expand=True)
    return (height, width) if turned else (width, height), image


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """A film's frames, as far as they can be decoded."""
    errors = 0
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                if not frame.is_corrupt:
                    yield frame
        except av.error.InvalidDataError:
            errors += 1
            if errors > _MAX_ERRORS:
                return


def _duration(source: Path, mime_type: str) -> float:
    """Seconds from the first to the last moment of which there is sound or picture, whatever the header says."""
    begin, end = float("inf"), 0.0
    with opened(source, mime_type) as film:
        for packet in film.container.demux([each for each in (film.video, film.audio) if each is not None]):
            if packet.pts is not None:
                begin = min(begin, float(packet.pts * packet.time_base))
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return round(max(0.0, end - begin), 3)
