"""Opens containers of sound and film. Runs in the child.

Only demuxers and decoders that are named here are used, each with one thread; files are read, nothing else is opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal

_DEMUXERS = {
    "mp4": "mov", "quicktime": "mov", "3gpp": "mov", "webm": "matroska", "x-matroska": "matroska", "ogg": "ogg",
    "mpeg": "mp3", "wav": "wav", "flac": "flac", "aac": "aac",
}  # fmt: skip
"""By the latter half of the media type."""

_CODECS = frozenset({
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "h263", "theora", "mjpeg",
    "prores", "mpeg2video", "mpeg1video",
    "aac", "mp3", "mp3float", "mp2", "opus", "libopus", "vorbis", "flac", "alac", "ac3", "eac3", "amrnb", "amrwb",
    "amr_nb", "amr_wb", "speex", "libspeex",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le",
    "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw", "adpcm_ima_wav", "adpcm_ms", "adpcm_ima_qt",
})  # fmt: skip
"""Decoders that may be used: those of what people record and browsers play."""


class Film(NamedTuple):
    """An open container, with the streams that are looked at."""

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None


@contextmanager
def opened(source: Path, mime_type: str) -> Iterator[Film]:
    """A file's container. Whatever goes wrong with it means that it cannot be read; but not being short of memory."""
    try:
        options = {"protocol_whitelist": "file", "codec_whitelist": ",".join(sorted(_CODECS)), "max_streams": "32"}
        demuxer = _DEMUXERS[mime_type.partition("/")[2]]
        with av.open(str(source), format=demuxer, options=options, metadata_errors="replace") as container:
            moving = [each for each in container.streams.video if not _is_still(each)]
            sounds = container.streams.audio
            streams: list[VideoStream | AudioStream] = [*moving, *sounds]
            for stream in streams:
                if (context := _context(stream)) is not None:
                    context.thread_count = 1
            yield Film(container, moving[0] if moving else None, sounds[0] if sounds else None)
    except (Refused, MemoryError):
        raise
    except av.error.FFmpegError as error:
        raise Refused(Refusal.DAMAGED, "The file cannot be read as what it is; it may be damaged.") from error


def _is_still(stream: Stream) -> bool:
    """Whether a stream is the picture on a record's cover."""
    return bool(stream.disposition & Disposition.attached_pic)


def check_codec(stream: VideoStream | AudioStream) -> None:
    """Refuse what is coded in a way that nobody needs to send (`type_refused`)."""
    context = _context(stream)
    name = "nothing that is known" if context is None else context.name
    if name not in _CODECS:
        raise Refused(Refusal.TYPE_REFUSED, f"The file is coded as {name}, which is not taken.")


def _context(stream: VideoStream | AudioStream) -> CodecContext | None:
    """A stream's decoder; None where there is none for it, which PyAV's types leave out."""
    return stream.codec_context
