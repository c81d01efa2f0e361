"""Sound and film. Runs in the child."""

from pathlib import Path

from services.media.processing.product import Bounds, Product


def look_at_video(source: Path, room: Path, mime_type: str, bounds: Bounds) -> Product:
    """Not yet."""
    return Product()


def listen_to_audio(source: Path, mime_type: str) -> Product:
    """Not yet."""
    return Product()
