"""Sound: how long and how loud it is. Nothing is written anew. Runs in the child."""

from array import array
from pathlib import Path

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from services.media.processing.containers import check_complete
from services.media.processing.demuxing import check_codec, opened
from services.media.processing.peaks import Peaks
from services.media.processing.product import Facts, Product
from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal

_RATE = 8000
"""Samples a second that are looked at for the waveform."""

_WHOLE = 1200
"""Seconds of sound that are decoded all; of what follows, one second in two, later one in three, and so on."""

_EXACT = frozenset({"audio/flac"})
"""Types whose headers say how long they are, to the sample."""


def listen_to_audio(source: Path, mime_type: str) -> Product:
    """A sound's duration and waveform.

    Raises:
        Refused: `type_mismatch` where it is a film, `type_refused` for a codec that is not taken, `damaged`.
    """
    check_complete(source, mime_type)
    with opened(source, mime_type) as film:
        if film.video is not None:
            raise Refused(Refusal.TYPE_MISMATCH, "The file is a film: send it as kind 'video'.")
        if film.audio is None:
            raise Refused(Refusal.DAMAGED, "There is no sound in the file.")
        check_codec(film.audio)
        said = film.container.duration
        duration, peaks = _listen(film.container, film.audio)
    if mime_type in _EXACT and said is not None and duration < said / av.time_base * 0.98 - 0.1:
        raise Refused(Refusal.DAMAGED, "The file is cut off: it ends before it is complete.")
    return Product(Facts(duration=round(duration, 3), waveform=peaks.waveform()))


def _listen(container: InputContainer, stream: AudioStream) -> tuple[float, Peaks]:
    """How many seconds there are, and how loud they are. Of hours, a part is listened to: see _WHOLE."""
    peaks, ears = Peaks(_RATE // 100), _Ears()
    begin, end, errors, frames = float("inf"), 0.0, 0, 0
    for packet in container.demux(stream):
        if packet.pts is not None:
            at, length = float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base)
            begin, end = min(begin, at), max(end, at + length)
            if int(at - begin) % (1 + int(at - begin) // _WHOLE):
                peaks.skip(int(length * _RATE))
                continue
        try:
            frames += ears.hear(packet, peaks)
        except av.error.InvalidDataError:
            errors += 1
    if frames <= errors:
        raise Refused(Refusal.DAMAGED, "The sound cannot be decoded.")
    return max(0.0, end - begin), peaks


class _Ears:
    """Decodes packets, and brings what is in them to one form. A stream may change its own."""

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None
        self._resampler = _resampler()

    def hear(self, packet: "Packet[AudioStream]", peaks: Peaks) -> int:
        """Take in the sound of a packet; the number of its frames."""
        frames = packet.decode()
        for frame in frames:
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != self._form:
                self._form, self._resampler = form, _resampler()
            frame.pts = None  # there are gaps where sound is left out
            for heard in self._resampler.resample(frame):
                peaks.add(array("h", bytes(heard.planes[0])[: heard.samples * 2]))
        return len(frames)


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=_RATE)
