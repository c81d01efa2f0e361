"""Files in a bucket of Amazon S3 or a server that speaks its protocol: the one door to that driver.

What is small is put at once, what is larger comes as a multipart upload, which shows nothing until it is completed.
`remove` aborts an upload whose process was killed; where a server does not list those by prefix, a rule of the bucket
(`AbortIncompleteMultipartUpload`) has to.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as TransportError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from services.media.storage.store import CHUNK, NoObject, answering, checked_id, even, is_media_id, parts_of, to_the_end
from shared.contracts.errors import ChatError
from shared.settings import Settings, SettingsError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART = 5 * 1024 * 1024
"""The least that a part of a multipart upload may have, but for the last one."""

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 20.0
TRIES = 3
CONNECTIONS = 32

FAILURES = (BotoCoreError, ClientError, TransportError, TimeoutError, OSError)
MISCONFIGURED = (NoCredentialsError, PartialCredentialsError, ParamValidationError, ValueError)
REFUSED = frozenset({301, 400, 401, 403})
ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
NOTHING_THERE = 416
"""The status of an answer where a range begins at the end of an object, or behind it."""


class Bucket(NamedTuple):
    """Where a bucket is, and how to get in; empty: the driver's own ways."""

    name: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


def bucket_of(settings: Settings) -> Bucket:
    """The bucket that the settings name. Raises SettingsError where they name none."""
    if not settings.s3_bucket:
        raise SettingsError("S3_BUCKET is not set: MEDIA_STORE=s3 keeps files in a bucket, which must exist.")
    if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
        raise SettingsError("S3_ACCESS_KEY and S3_SECRET_KEY go together: one of them is not set.")
    return Bucket(
        settings.s3_bucket, settings.s3_endpoint, settings.s3_region, settings.s3_access_key, settings.s3_secret_key
    )


class S3Store:
    """Keeps objects in a bucket, under their keys."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._name = bucket.name
        self._held = AsyncExitStack()
        self._connected: S3Client | None = None

    async def prepare(self) -> None:
        """Connect.

        Raises:
            SettingsError: where the bucket does not exist, or may not be used.
        """
        with answering(*FAILURES):
            try:
                if self._connected is None:
                    self._connected = await self._held.enter_async_context(_client(self._bucket))
                await self.check()
            except MISCONFIGURED as error:
                raise SettingsError(f"S3_BUCKET: the bucket '{self._name}' cannot be used: {error}") from error
            except ClientError as error:
                if _status(error) == 404:
                    raise SettingsError(f"S3_BUCKET: there is no bucket '{self._name}'.") from error
                if _status(error) in REFUSED:
                    raise SettingsError(f"S3_BUCKET: the bucket '{self._name}' may not be used: {error}") from error
                raise

    async def check(self) -> None:
        """The bucket answers."""
        await self._client.head_bucket(Bucket=self._name)

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """See Store.write."""
        parts_of(key)
        async with aclosing(even(chunks, PART)) as parts:
            first = await anext(parts, b"")
            if len(first) == PART:
                return await self._write_parts(key, first, parts)
        try:
            with answering(*FAILURES):
                await to_the_end(self._client.put_object(Bucket=self._name, Key=key, Body=first))
        except BaseException:  # it may be there all the same
            with suppress(ChatError), answering(*FAILURES):
                await self._client.delete_object(Bucket=self._name, Key=key)
            raise
        return len(first)

    async def _write_parts(self, key: str, first: bytes, parts: AsyncIterator[bytes]) -> int:
        with answering(*FAILURES):
            begun = await to_the_end(self._client.create_multipart_upload(Bucket=self._name, Key=key))
        upload = begun["UploadId"]
        try:
            done = [await self._write_part(key, upload, 1, first)]
            size = len(first)
            async for part in parts:
                done.append(await self._write_part(key, upload, len(done) + 1, part))
                size += len(part)
            with answering(*FAILURES):
                await to_the_end(
                    self._client.complete_multipart_upload(
                        Bucket=self._name, Key=key, UploadId=upload, MultipartUpload={"Parts": done}
                    )
                )
        except BaseException:
            with suppress(ChatError), answering(*FAILURES):
                if not await self._abort(key, upload):  # it was completed all the same
                    await self._client.delete_object(Bucket=self._name, Key=key)
            raise
        return size

    async def _write_part(self, key: str, upload: str, number: int, part: bytes) -> "CompletedPartTypeDef":
        with answering(*FAILURES):
            written = await to_the_end(
                self._client.upload_part(Bucket=self._name, Key=key, UploadId=upload, PartNumber=number, Body=part)
            )
        return {"PartNumber": number, "ETag": written["ETag"]}

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See Store.read."""
        parts_of(key)
        if length is not None and length <= 0:
            await self._must_have(key)
            return
        last = "" if length is None else start + length - 1
        with answering(*FAILURES):
            try:
                found = await self._client.get_object(Bucket=self._name, Key=key, Range=f"bytes={start}-{last}")
            except ClientError as error:
                if _status(error) == NOTHING_THERE:
                    return
                if _code(error) in ABSENT:
                    raise NoObject(key) from None
                raise
        async with found["Body"] as body:
            while True:
                with answering(*FAILURES):
                    data = await body.read(CHUNK)
                if not data:
                    return
                yield data

    async def _must_have(self, key: str) -> None:
        with answering(*FAILURES):
            try:
                await self._client.head_object(Bucket=self._name, Key=key)
            except ClientError as error:
                if _code(error) in ABSENT:
                    raise NoObject(key) from None
                raise

    async def remove(self, media_id: str) -> None:
        """See Store.remove."""
        await self._remove(f"{checked_id(media_id)}/", lambda _: True)

    async def remove_object(self, key: str) -> None:
        """See Store.remove_object."""
        parts_of(key)
        await self._remove(key, lambda found: found == key)

    async def _remove(self, prefix: str, meant: Callable[[str], bool]) -> None:
        with answering(*FAILURES):
            # Uploads first: one that is completed meanwhile is an object then.
            async for key, upload in self._uploads(prefix):
                if meant(key):
                    await self._abort(key, upload)
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            async for page in pages:
                for item in page.get("Contents", ()):
                    if meant(item["Key"]):  # one by one: not every server knows `DeleteObjects`
                        await self._client.delete_object(Bucket=self._name, Key=item["Key"])

    async def kept(self) -> AsyncIterator[str]:
        """See Store.kept."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Delimiter="/")
        with answering(*FAILURES):
            async for page in pages:
                for item in page.get("CommonPrefixes", ()):
                    if is_media_id(media_id := item["Prefix"].partition("/")[0]):
                        yield media_id
            async for key, _ in self._uploads(""):
                if is_media_id(media_id := key.partition("/")[0]):
                    yield media_id

    async def close(self) -> None:
        """See Store.close."""
        await self._held.aclose()
        self._connected = None

    @property
    def _client(self) -> "S3Client":
        if self._connected is None:
            raise RuntimeError("the store is not prepared")
        return self._connected

    async def _uploads(self, prefix: str) -> AsyncIterator[tuple[str, str]]:
        """Keys and ids of unfinished multipart uploads."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=prefix)
        async for page in pages:
            for item in page.get("Uploads", ()):
                yield item["Key"], item["UploadId"]

    async def _abort(self, key: str, upload: str) -> bool:
        """Abort an upload; False where there is none."""
        try:
            await self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload)
        except ClientError as error:
            if _code(error) not in ABSENT:
                raise
            return False
        return True


def _client(bucket: Bucket) -> AbstractAsyncContextManager["S3Client"]:
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"max_attempts": TRIES, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
        # Others' servers do not know the checksums that Amazon's have got lately.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: AbstractAsyncContextManager[S3Client] = get_session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint or None,
        aws_access_key_id=bucket.access_key or None,
        aws_secret_access_key=bucket.secret_key or None,
        config=config,
    )
    return client


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
