"""An S3 bucket, or a prefix in one, as the lake's store."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs as pa_fs
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lake.objects import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_SECONDS = 10
REQUEST_TIMEOUT_SECONDS = 60
ATTEMPTS = 6
DELETE_BATCH = 1000

_making_a_client = Lock()


@cache
def _session() -> boto3.session.Session:
    """The process's own: it keeps the descriptions of AWS's services, which take 60 ms of CPU to load."""
    return boto3.session.Session()


def prepare() -> None:
    """Load what every client needs, so that processes that are forked from this one need not.

    Where this machine's settings for AWS are wrong, whoever needs a client will say so.
    """
    with suppress(BotoCoreError):
        _make_client(region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106


def _make_client(**options: Any) -> "S3Client":
    # Clients may be shared between threads, sessions may not.
    with _making_a_client:
        return _session().client("s3", **options)


class S3Objects:
    """Made anew in each process; the clients are thread-safe."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        endpoint: str | None,
        access_key: str | None,
        secret_key: str | None,
        region: str,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region

    @cached_property
    def _client(self) -> "S3Client":
        return _make_client(
            endpoint_url=self._endpoint,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name=self._region,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=REQUEST_TIMEOUT_SECONDS,
                retries={"mode": "standard", "max_attempts": ATTEMPTS},
                s3={"addressing_style": "path" if self._endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def filesystem(self) -> pa_fs.FileSystem:
        endpoint = urlsplit(self._endpoint) if self._endpoint else None
        s3 = pa_fs.S3FileSystem(
            access_key=self._access_key,
            secret_key=self._secret_key,
            region=self._region,
            endpoint_override=endpoint.netloc if endpoint else None,
            scheme=endpoint.scheme if endpoint else "https",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            request_timeout=REQUEST_TIMEOUT_SECONDS,
            retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            # In the background it would hold any number of parts in memory while the store is slow.
            background_writes=False,
            # A small file is one request then, in place of three.
            allow_delayed_open=True,
        )
        return pa_fs.SubTreeFileSystem(f"{self._bucket}/{self._prefix}".rstrip("/"), s3)

    def storage_options(self) -> dict[str, str]:
        options = {
            "aws_region": self._region,
            "aws_conditional_put": "etag",
            "timeout": f"{REQUEST_TIMEOUT_SECONDS}s",
            "connect_timeout": f"{CONNECT_TIMEOUT_SECONDS}s",
        }
        if self._endpoint:
            options["aws_endpoint_url"] = self._endpoint
            options["aws_allow_http"] = str(self._endpoint.startswith("http:")).lower()
        if self._access_key and self._secret_key:
            options["aws_access_key_id"] = self._access_key
            options["aws_secret_access_key"] = self._secret_key
        return options

    def read(self, path: str) -> bytes | None:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None

    def write(self, path: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content)

    def create(self, path: str, content: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                return False
            raise
        return True

    def list(self, prefix: str, after: str | None = None) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix, StartAfter=self._prefix + after if after else ""
        )
        for page in pages:
            for found in page.get("Contents", []):
                path = found["Key"].removeprefix(self._prefix)
                yield StoredObject(path, found["Size"], found["LastModified"])

    def delete(self, paths: Iterable[str]) -> None:
        remaining = iter(paths)
        while batch := list(islice(remaining, DELETE_BATCH)):
            answer = self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": self._prefix + path} for path in batch], "Quiet": True},
            )
            if errors := answer.get("Errors"):
                raise OSError(f"{len(errors)} objects were not deleted: {errors[0].get('Code')}")

    def abort_uploads(self, prefix: str, before: float | None) -> None:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        for page in pages:
            for upload in page.get("Uploads", []):
                if before is None or upload["Initiated"].timestamp() < before:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def ping(self) -> None:
        self._client.head_bucket(Bucket=self._bucket)

    def ensure(self) -> None:
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            self._create_bucket()

    def _create_bucket(self) -> None:
        try:
            if self._region == "us-east-1":
                self._client.create_bucket(Bucket=self._bucket)
            else:
                self._client.create_bucket(
                    Bucket=self._bucket,
                    CreateBucketConfiguration={"LocationConstraint": self._region},  # type: ignore[typeddict-item]
                )
        except (
            self._client.exceptions.BucketAlreadyOwnedByYou,
            self._client.exceptions.BucketAlreadyExists,
        ):
            # Another process was faster; the ping says whether it is ours.
            self.ping()
