"""Pipeline file to typed steps, or one ConfigError naming everything wrong with it."""

from edgepipe.config.load import load, parse
from edgepipe.config.schema import json_schema

__all__ = ["json_schema", "load", "parse"]
