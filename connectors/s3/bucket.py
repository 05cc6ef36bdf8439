"""Where a bucket is and how to log in: the form's fields, their check, and what comes out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from connectors.addresses import check_address
from connectors.base import FormField
from connectors.errors import ConfigurationError
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.surroundings import Surroundings

DEFAULT_REGION = "us-east-1"

S3_FIELDS = (
    FormField("access_key_id", "S3 access key"),
    FormField("secret_access_key", "S3 secret key", type="password", secret=True),
    FormField("region", "S3 region", default=DEFAULT_REGION),
    FormField("endpoint", "S3 endpoint", placeholder="empty for AWS", decides_host=True),
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{1,253}[A-Za-z0-9]")
_REGION = re.compile(r"[a-z0-9][a-z0-9\-]{0,62}")


@dataclass(frozen=True)
class Bucket:
    """``prefix``, of the part that is meant, is empty or ends with a slash. Without an ``endpoint`` it is at AWS,
    without keys it is public.
    """

    name: str
    prefix: str
    endpoint: str | None
    region: str
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    outbound: OutboundPolicy = CLOSED
    named_in: str = "location"
    """The form's field that names the bucket."""


def bucket_of(
    name: str, prefix: str, values: Mapping[str, str], surroundings: Surroundings, *, named_in: str, example: str
) -> Bucket:
    """The bucket of this name, by the values of ``S3_FIELDS``. ``ConfigurationError`` names a field."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"The {named_in} must name a bucket: {example}.", attr=named_in)
    region = values["region"] or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise ConfigurationError("The region must be a name such as eu-central-1.", attr="region")
    key, secret = values["access_key_id"], values["secret_access_key"]
    if bool(key) != bool(secret):
        missing = "secret_access_key" if key else "access_key_id"
        raise ConfigurationError(f"The field {missing} is missing.", attr=missing)
    endpoint = values["endpoint"].rstrip("/") or None
    if endpoint is not None:
        check_address(endpoint, "endpoint", surroundings)
        if urlsplit(endpoint).path or urlsplit(endpoint).query:
            raise ConfigurationError("The endpoint must be an address without a path.", attr="endpoint")
    return Bucket(name, prefix, endpoint, region, key or None, secret or None, surroundings.outbound, named_in)
