"""Which store the settings ask for. The driver of S3 is loaded for S3 only: it takes as long as everything else."""

from pathlib import Path

from services.media.storage.directory import DirectoryStore
from services.media.storage.gridfs import GridFSStore
from services.media.storage.store import Store
from shared.mongo import Mongo
from shared.settings import Settings


def store_of(settings: Settings, mongo: Mongo) -> Store:
    """The store that MEDIA_STORE names; `prepare` tells whether it can be used.

    Raises:
        SettingsError: where its settings cannot be meant.
    """
    if settings.media_store == "gridfs":
        return GridFSStore(mongo)
    if settings.media_store == "directory":
        return DirectoryStore(Path(settings.upload_dir))
    from services.media.storage.s3 import S3Store, bucket_of

    return S3Store(bucket_of(settings))
