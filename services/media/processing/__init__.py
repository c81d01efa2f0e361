"""Looks into files and makes their variants: in a child process with limits, for decoders meet what anybody sends.

The parent (parent.py) starts `python -m services.media.processing`, which confines itself (confining.py) before it
loads a decoder (images.py, film.py, sound.py) or reads a document (documents.py), and answers with a product
(product.py).
"""

from services.media.processing.parent import Exhausted, process
from services.media.processing.product import Bounds, Made, Product

__all__ = ["Bounds", "Exhausted", "Made", "Product", "process"]
