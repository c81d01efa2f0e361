"""Looks into files and makes their variants: in a child process with limits, for decoders meet what anybody sends.

The parent (parent.py) starts `python -m services.media.processing`, which confines itself (confining.py) before it
loads a decoder (images.py, film.py, sound.py) or reads a document (documents.py), and answers with a product
(product.py). A child lives for a second or less: it loads nothing that only the parent needs.
"""
