"""Buckets of S3, and of what speaks its protocol: the same for every source type that reads objects."""

from connectors.s3.bucket import S3_FIELDS, Bucket, bucket_of
from connectors.s3.client import BucketClient, StoredObject
from connectors.s3.stream import ObjectStream, piece

__all__ = ["S3_FIELDS", "Bucket", "BucketClient", "ObjectStream", "StoredObject", "bucket_of", "piece"]
