"""``syncline demo``: the whole way of a table, shown and checked on this machine."""

from local.demo.story import run_demo

__all__ = ["run_demo"]
