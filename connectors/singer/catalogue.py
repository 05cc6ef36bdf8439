"""What a tap can read: its catalogue, and the choice of one stream of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.inference.objects import NoObjectError, parsed_object
from connectors.inference.texts import json_text
from connectors.singer.config import SingerConfig
from connectors.singer.errors import BadTapError
from connectors.singer.process import running
from connectors.singer.schema import Property, properties_of

MOST_BYTES = 2**26
Entry = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """``entry``: what the catalogue has of it, as it is."""

    name: str
    entry: Entry
    properties: Mapping[str, Property]

    @property
    def names(self) -> set[str]:
        """By which messages may know it."""
        return {self.name, *(each for each in (self.entry.get("stream"),) if isinstance(each, str))}

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the metadata says of the stream itself."""
        return next((known for place, known in metadata_of(self.entry) if place == ()), {})

    @property
    def key(self) -> tuple[str, ...]:
        for names in (
            self.facts.get("table-key-properties"),
            self.facts.get("view-key-properties"),
            self.entry.get("key_properties"),
        ):
            if names and isinstance(names, list):
                return tuple(name for name in names if name in self.properties)
        return ()


@dataclass(frozen=True)
class Catalogue:
    streams: tuple[Stream, ...]

    def stream(self, name: str) -> Stream | None:
        return next((each for each in self.streams if each.name == name), None)

    def choosing(self, chosen: Stream, columns: Collection[str] | None, cursor: str | None) -> str:
        """The catalogue as the tap is to be given it, with that stream alone selected. ``columns``: None for all."""
        entries = [
            _selected(each, columns, cursor) if each is chosen else _deselected(each.entry) for each in self.streams
        ]
        return json_text({"streams": entries})


def discovered(config: SingerConfig) -> Catalogue:
    """Ask the tap."""
    with running(config, ("--discover",), {}) as tap:
        output, size = [], 0
        for line in tap.lines():
            output.append(line)
            size += len(line)
            if size > MOST_BYTES:
                raise BadTapError(f"The tap {config.tap} gave a catalogue of more than {MOST_BYTES >> 20} MB.")
    try:
        found = parsed_object(b"\n".join(output))
        return _catalogue(found.get("streams"))
    except NoObjectError as error:
        raise BadTapError(f"The tap {config.tap} gave {error} where its catalogue should be.") from error
    except ValueError as error:
        raise BadTapError(f"The tap {config.tap} gave a catalogue that is none: {error}.") from error


def metadata_of(entry: Entry) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Places within the stream, with what is known of them."""
    return [(tuple(each["breadcrumb"]), dict(each["metadata"])) for each in entry.get("metadata") or []]


def _catalogue(entries: Any) -> Catalogue:
    if not isinstance(entries, list):
        raise ValueError("it has no list of streams")
    found: dict[str, Stream] = {}
    for entry in entries:
        stream = _stream(entry)
        if stream.name in found:
            raise ValueError(f"two streams are called {stream.name}")
        found[stream.name] = stream
    return Catalogue(tuple(found[name] for name in sorted(found)))


def _stream(entry: Any) -> Stream:
    if not isinstance(entry, dict):
        raise ValueError("a stream is no object")
    name = entry.get("tap_stream_id") or entry.get("stream")
    if not isinstance(name, str) or not name:
        raise ValueError("a stream has no name")
    schema = entry.get("schema")
    if not isinstance(schema, dict):
        raise ValueError(f"the stream {name} has no schema")
    for each in entry.get("metadata") or []:
        if not _is_known(each):
            raise ValueError(f"the metadata of the stream {name} is none")
    unread = {
        place[1]
        for place, known in metadata_of(entry)
        if len(place) == 2 and place[0] == "properties" and known.get("inclusion") == "unsupported"
    }
    properties = {name: each for name, each in properties_of(schema).items() if name not in unread}
    return Stream(name, entry, properties)


def _is_known(metadata: Any) -> bool:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("metadata"), dict):
        return False
    place = metadata.get("breadcrumb")
    return isinstance(place, list) and all(isinstance(each, str) for each in place)


def _selected(stream: Stream, columns: Collection[str] | None, cursor: str | None) -> Entry:
    method = "FULL_TABLE" if cursor is None else "INCREMENTAL"
    known = dict(metadata_of(stream.entry))
    facts = {**known.get((), {}), "selected": True, "replication-method": method}
    entry = {**stream.entry, "schema": {**stream.entry["schema"], "selected": True}, "replication_method": method}
    for told, word in ((facts, "replication-key"), (entry, "replication_key")):
        told.pop(word, None)
        if cursor is not None:
            told[word] = cursor
    places = {place: _with_choice(place, each, columns) for place, each in known.items() if place}
    for name in stream.properties:
        place = ("properties", name)
        places.setdefault(place, _with_choice(place, {}, columns))
    return {**entry, "metadata": _as_list({(): facts, **places})}


def _with_choice(place: Sequence[str], known: dict[str, Any], columns: Collection[str] | None) -> dict[str, Any]:
    is_wanted = columns is None or (len(place) > 1 and place[1] in columns)
    return {**known, "selected": is_wanted and known.get("inclusion") != "unsupported"}


def _deselected(entry: Entry) -> Entry:
    known = dict(metadata_of(entry))
    known[()] = {**known.get((), {}), "selected": False}
    return {**entry, "schema": {**entry["schema"], "selected": False}, "metadata": _as_list(known)}


def _as_list(known: Mapping[tuple[str, ...], Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"breadcrumb": list(place), "metadata": each} for place, each in known.items()]
