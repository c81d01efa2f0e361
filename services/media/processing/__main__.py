"""`python -m services.media.processing {job}`: looks into one file, as the JSON says; the answer is a file beside it.

It ends with status 0 and an answer, or otherwise: then it may have been short of time or memory.
"""

import json
import sys
from pathlib import Path

from services.media.kinds import DECODED
from services.media.processing.confining import confine
from services.media.processing.product import ANSWER, Bounds, Job, Product, told
from services.media.refusals import Refused
from shared.contracts.media_terms import MediaKind


def main() -> None:
    """Do the one job."""
    job: Job = json.loads(sys.argv[1])
    room = Path(job["room"])
    bounds = Bounds(job["memory"], job["seconds"], job["pixels"])
    confine(bounds, job["parent"])
    try:
        answer = told(_work(Path(job["source"]), room, MediaKind(job["kind"]), job["mime_type"], bounds))
    except Refused as refused:
        answer = {"refused": [refused.reason, refused.message]}
    (room / ANSWER).write_text(json.dumps(answer))


def _work(source: Path, room: Path, kind: MediaKind, mime_type: str, bounds: Bounds) -> Product:
    """Look at a file as what it is. Decoders are loaded here, under the limits."""
    if mime_type in DECODED:
        from services.media.processing.images import rewrite

        return rewrite(source, room, mime_type, bounds)
    if kind is MediaKind.VIDEO:
        from services.media.processing.film import look_at_video

        return look_at_video(source, room, mime_type, bounds)
    if kind is MediaKind.AUDIO:
        from services.media.processing.sound import listen_to_audio

        return listen_to_audio(source, mime_type)
    from services.media.processing.documents import check

    check(source, mime_type)
    return Product()


if __name__ == "__main__":
    main()
