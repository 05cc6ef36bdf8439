import pickle
from datetime import UTC, datetime, timedelta

import pytest

from lake.errors import LakeError, UnsafeStoreError
from lake.s3 import S3Objects
from lake.storage import LakeStore
from tests.kit.servers import RunningStore
from tests.lake.conftest import s3_store


def test_objects_come_back_as_written_and_go_when_deleted(store: LakeStore) -> None:
    store.write_json("a/one.json", {"é": [1, None]})
    store.write("a/b/two", b"\x00\xff")
    store.write("ab/three", b"")

    assert store.read_json("a/one.json") == {"é": [1, None]}
    assert store.read("a/b/two") == b"\x00\xff"
    assert store.read("a/missing") is None
    listed = list(store.list("a"))
    assert sorted((one.path, one.size_bytes) for one in listed) == [("a/b/two", 2), ("a/one.json", 19)]
    assert all(abs(one.modified - datetime.now(UTC)) < timedelta(minutes=5) for one in listed)

    store.delete_prefix("a")
    assert [one.path for one in store.list("")] == ["ab/three"]
    store.delete(["a/one.json", "never/was"])


def test_more_objects_than_a_page_are_listed_and_deleted(object_store: RunningStore) -> None:
    store = s3_store(object_store)
    names = {f"many/{number:05d}" for number in range(1100)}
    for name in names:
        store.write(name, b"")

    assert {one.path for one in store.list("many")} == names
    store.delete_prefix("many")
    assert list(store.list("many")) == []


def test_a_store_survives_pickling_without_its_clients(store: LakeStore) -> None:
    store.write("x", b"1")
    again = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert again == store
    assert again.read("x") == b"1"


def test_a_store_with_conditional_writes_passes_the_probe_and_leaves_nothing(store: LakeStore) -> None:
    store.ensure_bucket()
    store.ping()
    store.probe_conditional_put()
    assert list(store.list("")) == []


def test_a_store_that_ignores_conditions_is_refused(object_store: RunningStore) -> None:
    store = s3_store(object_store)
    objects = store.objects
    assert isinstance(objects, S3Objects)

    def forget_condition(request: object, **_: object) -> None:
        headers = request.headers  # type: ignore[attr-defined]
        del headers["If-None-Match"]

    objects._client.meta.events.register("before-sign.s3.PutObject", forget_condition)
    with pytest.raises(UnsafeStoreError, match="ignores conditional writes"):
        store.probe_conditional_put()


def test_a_bucket_is_made_where_it_is_missing(object_store: RunningStore) -> None:
    store = LakeStore(
        f"s3://made-{object_store.new_url()[-12:]}/lake",
        object_store.endpoint,
        object_store.access_key_id,
        object_store.secret_access_key,
    )
    with pytest.raises(LakeError):
        store.ping()
    store.ensure_bucket()
    store.ensure_bucket()
    store.ping()


def test_errors_are_plain_and_keep_the_credentials(object_store: RunningStore) -> None:
    wrong = LakeStore(object_store.new_url(), object_store.endpoint, "NOBODY", "not-the-secret-key")
    for attempt in (wrong.ping, lambda: wrong.read("x"), lambda: list(wrong.list("x"))):
        with pytest.raises(LakeError, match=r"^The lake could not [a-z ]+\.$"):
            attempt()
    assert "secret" not in repr(wrong)


@pytest.mark.parametrize("url", ["http://x/y", "s3:///y", "file://host/y", "file:///", "lake"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(LakeError, match="must look like"):
        LakeStore(url).ping()


def test_unfinished_uploads_are_dropped(object_store: RunningStore) -> None:
    store = s3_store(object_store)
    objects = store.objects
    assert isinstance(objects, S3Objects)
    key = f"{objects._prefix}t/unfinished"
    client, bucket = objects._client, objects._bucket
    client.create_multipart_upload(Bucket=bucket, Key=key)

    store.abort_uploads("t", before=0)
    assert len(client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])) == 1
    store.abort_uploads("t")
    assert not client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads")
