"""Taps that print what they should not: each is told in a sentence of its own, and nothing is half read."""

import json
import pickle

import pytest

from connectors.errors import SourceError
from connectors.singer import process
from connectors.singer.errors import BadTapError, TapFailedError
from connectors.singer.messages import Messages
from connectors.singer.spool import Spool
from tests.connectors.singer.bench import NUMBERED, Bench, Message, record, schema

BEGIN = schema("t", NUMBERED)
ONE = record("t", id=1)

PRINTED: dict[str, tuple[list[Message | str], str]] = {
    "garbage": ([BEGIN, "hello"], "wrote what is no JSON (line 2 of its output), where a Singer message should be"),
    "no object": ([BEGIN, "[1]"], "wrote what is no JSON object (line 2"),
    "half of a character": ([BEGIN, '{"type": "RECORD", "x": "\\ud800"}'], "wrote half of a character (line 2"),
    "two of a name": ([BEGIN, '{"type": "RECORD", "type": "STATE"}'], "an object with two members of one name (line 2"),
    "unknown type": ([BEGIN, {"type": "FROB"}], "wrote a message of the type 'FROB' (line 2 of its output)"),
    "no type": ([BEGIN, {"stream": "t"}], "wrote a message without a type (line 2"),
    "no stream": ([BEGIN, {"type": "RECORD", "record": {}}], "wrote a message that names no stream (line 2"),
    "record first": ([ONE], "gave a record of t before its schema (line 1"),
    "no record": ([BEGIN, {"type": "RECORD", "stream": "t"}], "gave a record of t that is no object (line 2"),
    "no schema": ([{"type": "SCHEMA", "stream": "t"}], "gave a schema of t that is no object (line 1"),
    "bad schema": ([{**BEGIN, "schema": {"properties": []}}], "gave a schema of t that is none"),
    "text for integer": ([BEGIN, record("t", id="1")], "not of its schema: 'id' is a text (line 2"),
    "fraction for integer": ([BEGIN, ONE, record("t", id=1.5)], "'id' is a number with a fraction (line 3"),
    "object for integer": ([BEGIN, record("t", id={})], "'id' is an object (line 2"),
    "key without value": ([schema("t", NUMBERED, ("id",)), record("t", id=None)], "without a value for 'id'"),
    "batch": ([BEGIN, {"type": "BATCH", "stream": "t"}], "take batch_config out of the tap's configuration"),
    "two streams": ([BEGIN, schema("u", {}), schema("v", {})], "gave the stream 'v' (line 3 of its output)"),
    "state of nothing": ([BEGIN, {"type": "STATE"}], "gave a state without a value (line 2"),
}


def check(error: SourceError, sentence: str, kind: type[SourceError] = BadTapError) -> None:
    assert type(error) is kind
    assert sentence in error.message
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert pickle.loads(pickle.dumps(error)).message == error.message  # noqa: S301


@pytest.mark.parametrize("case", PRINTED)
def test_what_is_no_output_of_a_tap(case: str) -> None:
    printed, sentence = PRINTED[case]
    lines = [each if isinstance(each, str) else json.dumps(each) for each in printed]
    with Spool(frozenset(), None) as spool:
        messages = Messages("tap-printing", "t", {"t"}, {"other"}, (), spool)
        for line in lines[:-1]:
            messages.take(line.encode())
        with pytest.raises(SourceError) as caught:
            messages.take(lines[-1].encode())
    check(caught.value, sentence)


@pytest.mark.parametrize("printed", [[], [schema("other", NUMBERED), record("other", id=1)]])
def test_a_tap_that_does_not_know_what_was_selected(bench: Bench, printed: list[Message]) -> None:
    bench.put("t", BEGIN)
    bench.put("other", schema("other", NUMBERED))
    lines = "\n".join(map(json.dumps, printed))
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act=f"print({lines!r})"))
    check(caught.value, "ended without a schema of t, the stream that was selected")


def test_bytes_that_are_no_text(bench: Bench) -> None:
    bench.put("t", BEGIN)
    act = r"import sys; sys.stdout.buffer.write(b'{\"type\": \"STATE\", \"value\": \"\xff\"}\n')"
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act=act))
    check(caught.value, "wrote bytes that are no valid utf-8 (line 1")


def test_a_line_without_an_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_LINE_BYTES", 2**20)
    bench.put("t", BEGIN)
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act="print('x' * 100 * 2**20)"))
    check(caught.value, "wrote a line of more than 1 MB")


def test_a_tap_that_fails_says_why_and_no_secret(bench: Bench) -> None:
    bench.put("t", BEGIN, ONE)
    act = """
import sys
print('{"type": "SCHEMA", "stream": "t", "schema": {}, "key_properties": []}')
place = config["nested"][0]
print("Traceback:\\n   ^^^^\\n\\x1b[31mno login for\\tada with", config["token"], "at", place, file=sys.stderr)
print("gave up", file=sys.stderr, end="")
sys.exit(3)
"""
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act=act, token="tok/en 1", nested=["db.example.com"]))
    said = "Traceback: | ?[31mno login for ada with *** at *** | gave up."
    check(caught.value, f"failed with the exit status 3, after it had said: {said}", TapFailedError)
    assert caught.value.retryable


def test_a_tap_that_says_much(bench: Bench) -> None:
    bench.put("t", BEGIN)
    act = """
import sys
print(config["token"] * 10**5, file=sys.stderr)
print("end", file=sys.stderr)
sys.exit(1)
"""
    with pytest.raises(TapFailedError, match="end") as caught:
        bench.read("t", bench.config(act=act, token="a-token-that-is-long"))
    assert len(caught.value.message) < 700
    assert "token" not in caught.value.message


def test_a_tap_that_is_killed(bench: Bench) -> None:
    bench.put("t", BEGIN)
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act="import os; os.kill(os.getpid(), 9)"))
    check(caught.value, "The tap tap-printing was ended by SIGKILL.", TapFailedError)


def test_a_tap_that_stops_in_the_middle_of_a_message(bench: Bench) -> None:
    bench.put("t", BEGIN)
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act="""print('{"type": "REC', end='')"""))
    check(caught.value, "wrote what is no JSON (line 1")


def test_a_tap_that_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("t", BEGIN)
    monkeypatch.setattr(process, "SILENCE_SECONDS", 1.0)
    with pytest.raises(SourceError) as caught:
        bench.read("t", bench.config(act="import time; time.sleep(600)"))
    check(caught.value, "printed nothing for", TapFailedError)


STREAM: Message = {"stream": "a", "schema": {}}
CATALOGUES: dict[str, tuple[str, str]] = {
    "garbage": ("hello", "gave what is no JSON where its catalogue should be"),
    "no streams": ("{}", "gave a catalogue that is none: it has no list of streams"),
    "no object": (json.dumps({"streams": [1]}), "a stream is no object"),
    "no name": (json.dumps({"streams": [{}]}), "a stream has no name"),
    "no schema": (json.dumps({"streams": [{"stream": "a"}]}), "the stream a has no schema"),
    "two of a name": (json.dumps({"streams": [STREAM, STREAM]}), "two streams are called a"),
    "bad metadata": (json.dumps({"streams": [{**STREAM, "metadata": [{}]}]}), "the metadata of the stream a is none"),
}


@pytest.mark.parametrize("case", CATALOGUES)
def test_a_catalogue_that_is_none(bench: Bench, case: str) -> None:
    printed, sentence = CATALOGUES[case]
    with pytest.raises(SourceError) as caught:
        bench.discover(discover=f"print({printed!r})")
    check(caught.value, sentence)
