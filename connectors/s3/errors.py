"""What a store of buckets turns down, as ``SourceError``s: one sentence each, without the store's own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SourceError,
    UnreachableError,
)
from connectors.outbound.http import is_about_certificates
from connectors.s3.bucket import Bucket

_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidClientTokenId")
_WRONG_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_OTHER_VERSION = ("NoSuchKey", "PreconditionFailed", "InvalidRange")


def changed(name: str) -> BusyError:
    """The object is another one than was looked at: the read begins anew."""
    return BusyError(f"The file {name} changed while it was read; it is read again.", retry_after_seconds=1)


@contextmanager
def failures(bucket: Bucket, name: str | None = None) -> Iterator[None]:
    """Around requests. ``name``: of the object, where a version of one is asked for."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, bucket, name) from error
    except SSLError as error:
        if not is_about_certificates(error.kwargs.get("error")):
            raise _unreachable(bucket) from error
        raise ConfigurationError(
            f"The certificate of the store of the bucket {bucket.name} is not to be trusted.", attr="endpoint"
        ) from error
    except HTTPClientError as error:
        inner = error.kwargs.get("error")
        if isinstance(inner, SourceError):
            raise inner from error
        raise _unreachable(bucket) from error
    except ValueError as error:
        raise ConfigurationError("The bucket or its region has an impossible name.", attr=bucket.named_in) from error
    except BotoCoreError as error:
        raise _unreachable(bucket) from error


def _refusal(error: ClientError, bucket: Bucket, name: str | None) -> SourceError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return ConfigurationError(f"There is no bucket {bucket.name}.", attr=bucket.named_in)
    if code in _WRONG_KEYS:
        return CredentialsError(f"The bucket {bucket.name} turns these keys down: check both of them.")
    if code in _WRONG_REGION:
        return ConfigurationError(f"The bucket {bucket.name} is in another region.", attr="region")
    if name is not None and (code in _OTHER_VERSION or status in (404, 412, 416)):
        return changed(name)
    if status in (401, 403):
        what = f"the file {name} of the bucket {bucket.name}" if name else f"what the bucket {bucket.name} holds"
        return AccessError(f"These keys may not read {what}: grant s3:ListBucket and s3:GetObject.")
    if status in (429, 500, 502, 503, 504) or code == "SlowDown":
        return BusyError(f"The store of the bucket {bucket.name} asks to come back later.", retry_after_seconds=10)
    return ConfigurationError(f"The store does not take requests for the bucket {bucket.name}.", attr=bucket.named_in)


def _unreachable(bucket: Bucket) -> UnreachableError:
    host = urlsplit(bucket.endpoint).hostname if bucket.endpoint else "AWS"
    return UnreachableError(f"The store at {host} does not answer.", attr="endpoint")
