"""A Singer tap that prints files: for each stream one of its configuration's folder. A program of its own.

``<stream>.singer`` has the messages of a read of all rows. By the replication key of its catalogue it gives rows as a
tap of a database does, with states in the form of the SDK. What its configuration may ask for beside that:
``password``, the only one that it takes is ``right``; ``act`` (or ``act.py`` beside the files) and ``discover``, what
it does in place of printing records or its catalogue, in Python.
"""

import argparse
import json
import sys
from pathlib import Path


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--config", type=lambda path: json.loads(Path(path).read_text()))
    options.add_argument("--catalog", type=lambda path: json.loads(Path(path).read_text()))
    options.add_argument("--state", type=lambda path: json.loads(Path(path).read_text()), default={})
    options.add_argument("--discover", action="store_true")
    given = options.parse_args()
    config = given.config
    if config.get("password", "right") != "right":
        print("turned down: wrong password", config["password"], file=sys.stderr)
        sys.exit(1)
    folder = Path(config["folder"])
    if not folder.is_dir():
        print("no such folder:", folder, file=sys.stderr)
        sys.exit(2)
    if "discover" in config:
        exec(config["discover"], {"given": given, "config": config})  # noqa: S102
        return
    if given.discover:
        print(json.dumps({"streams": list(streams(folder))}, indent=2))
        return
    act = folder / "act.py"
    if "act" in config or act.exists():
        exec(config.get("act") or act.read_text(), {**globals(), "given": given, "config": config})  # noqa: S102
        return
    for entry in given.catalog["streams"]:
        facts = known(entry, [])
        if facts.get("selected"):
            if "user" in config:
                print("giving", entry["tap_stream_id"], "to", config["user"], file=sys.stderr)
            give(folder / facts["file"], entry, facts, given.state)


def streams(folder):
    """Of each file, by the first schema of each stream: as the file is called, and as it is where there are several."""
    for path in sorted(folder.glob("*.singer")):
        schemas = {}
        for message in messages(path):
            if message["type"] == "SCHEMA":
                schemas.setdefault(message["stream"], message)
        for name, schema in schemas.items():
            facts = {"table-key-properties": schema.get("key_properties", []), "file": path.name}
            yield {
                "tap_stream_id": path.stem if len(schemas) == 1 else name,
                "stream": name,
                "schema": schema["schema"],
                "metadata": [{"breadcrumb": [], "metadata": facts}],
            }


def give(path, entry, facts, state):
    """Without the columns that are not selected; by a replication key what the state does not say to be known."""
    cursor = facts.get("replication-key")
    last = state.get("bookmarks", {}).get(path.stem, {}).get("replication_key_value")
    unselected = set()
    for message in messages(path, verbatim=True):
        told = json.loads(message)
        if told["type"] == "SCHEMA":
            named = told["schema"].get("properties", {})
            unselected = {name for name in named if not known(entry, ["properties", name]).get("selected", True)}
            if unselected:
                told["schema"]["properties"] = {name: each for name, each in named.items() if name not in unselected}
                message = json.dumps(told)
        elif told["type"] == "RECORD":
            value = told["record"].get(cursor)
            if cursor and last is not None and (value is None or value < last):
                continue
            if unselected:
                told["record"] = {name: each for name, each in told["record"].items() if name not in unselected}
                message = json.dumps(told)
        print(message)
    if cursor:
        values = [told["record"].get(cursor) for told in messages(path) if told["type"] == "RECORD"]
        greatest = max((value for value in values if value is not None), default=last)
        mark = {"replication_key": cursor, "replication_key_value": greatest}
        print(json.dumps({"type": "STATE", "value": {"bookmarks": {path.stem: mark}}}))


def known(entry, place):
    return next((each["metadata"] for each in entry["metadata"] if each["breadcrumb"] == place), {})


def messages(path, verbatim=False):
    for line in path.read_text().splitlines():
        if line:
            yield line if verbatim else json.loads(line)


if __name__ == "__main__":
    main()
