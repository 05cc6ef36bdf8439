"""What a tap prints: messages, of which those of one stream are taken."""

from collections.abc import Callable, Collection
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.inference.objects import NoObjectError, parsed_object
from connectors.inference.texts import Literal
from connectors.singer.errors import BadTapError
from connectors.singer.schema import ANY, Property, properties_of
from connectors.singer.spool import Spool

_SHOWN = 60
_JSON_NAMES = {str: "a text", Literal: "a number", bool: "a boolean", dict: "an object", list: "an array"}


class Messages:
    """Takes the output of a read line by line."""

    def __init__(
        self, tap: str, stream: str, own: Collection[str], others: Collection[str], key: tuple[str, ...], spool: Spool
    ) -> None:
        """``own`` and ``others``: the names that the messages of this and of other streams bear, by the catalogue."""
        self.has_schema = False
        self.state: Any = None
        """What the tap said last."""
        self._tap = tap
        self._stream = stream
        self._own = set(own)
        self._others = set(others) - self._own
        self._is_named = False
        self._key = key
        self._schema: dict[str, Property] = {}
        self._spool = spool
        self._line = 0
        self._take: dict[str, Callable[[dict[str, Any], int], None]] = {
            "RECORD": self._record,
            "SCHEMA": self._take_schema,
            "STATE": self._take_state,
            "ACTIVATE_VERSION": self._activate,
            "BATCH": self._batch,
        }

    def take(self, line: bytes) -> None:
        """``BadTapError`` for what is no message, or none that can stand there."""
        self._line += 1
        if not line or line.isspace():
            return
        try:
            message = parsed_object(line)
        except NoObjectError as error:
            raise self._bad(f"wrote {error}", "where a Singer message should be") from error
        kind = message.get("type")
        take = self._take.get(kind) if isinstance(kind, str) else None
        if take is None:
            shown = f"of the type {kind[:_SHOWN]!r}" if isinstance(kind, str) else "without a type"
            raise self._bad(f"wrote a message {shown}", "which is none of Singer's")
        take(message, len(line))

    def _record(self, message: dict[str, Any], size_bytes: int) -> None:
        if not self._is_mine(message):
            return
        if not self.has_schema:
            raise self._bad(f"gave a record of {self._stream} before its schema")
        record = message.get("record")
        if not isinstance(record, dict):
            raise self._bad(f"gave a record of {self._stream} that is no object")
        self._check(record)
        key = tuple(record.get(name) for name in self._key)
        if None in key:
            name = self._key[key.index(None)]
            raise self._bad(f"gave a record of {self._stream} without a value for {name!r}, a property of its key")
        self._spool.add(record, key, size_bytes, message.get("version"))

    def _check(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            declared = self._schema.get(name, ANY)
            if value is not None and type(value) not in declared.accepts:
                raise self._mismatch(name, _JSON_NAMES[type(value)])
            if declared.whole_numbers and type(value) is Literal and not _is_whole(value):
                raise self._mismatch(name, "a number with a fraction")

    def _mismatch(self, name: str, given: str) -> BadTapError:
        return self._bad(
            f"gave a record of {self._stream} that is not of its schema: {name[:_SHOWN]!r} is {given}",
            "which the schema does not allow",
        )

    def _take_schema(self, message: dict[str, Any], _: int) -> None:
        schema = message.get("schema")
        if not self._is_mine(message):
            return
        if not isinstance(schema, dict):
            raise self._bad(f"gave a schema of {self._stream} that is no object")
        try:
            self._schema = properties_of(schema)
        except ValueError as error:
            raise self._bad(f"gave a schema of {self._stream} that is none: {error}") from error
        self.has_schema = True
        named = message.get("key_properties")
        if not self._key and isinstance(named, list) and not self._spool.has_rows:
            self._key = tuple(name for name in named if name in self._schema)
        self._spool.declare(self._schema)

    def _take_state(self, message: dict[str, Any], _: int) -> None:
        if "value" not in message:
            raise self._bad("gave a state without a value")
        self.state = message["value"]

    def _activate(self, message: dict[str, Any], _: int) -> None:
        if self._is_mine(message):
            self._spool.activate(message.get("version"))

    def _batch(self, message: dict[str, Any], _: int) -> None:
        if self._is_mine(message):
            raise self._bad(
                "gave its rows as files of a batch",
                "which are not read: take batch_config out of the tap's configuration",
            )

    def _is_mine(self, message: dict[str, Any]) -> bool:
        """Taps may call a stream otherwise in messages than in the catalogue: one such name can only be the stream's
        that was selected.
        """
        name = message.get("stream")
        if not isinstance(name, str):
            raise self._bad("wrote a message that names no stream")
        if name in self._others:
            return False
        if name not in self._own:
            if self._is_named:
                raise self._bad(f"gave the stream {name[:_SHOWN]!r}", f"where only {self._stream} was asked for")
            self._own = {name}
            self._is_named = True
        return True

    def _bad(self, what: str, why: str = "") -> BadTapError:
        reason = f", {why}" if why else ""
        return BadTapError(f"The tap {self._tap} {what} (line {self._line} of its output){reason}.")


def _is_whole(number: str) -> bool:
    if number.isdigit() or number[1:].isdigit():
        return True
    try:
        found = Decimal(number)
    except InvalidOperation:
        # Its exponent is beyond all bounds.
        return "-" not in number[1:]
    return not found.is_finite() or found == found.to_integral_value()
