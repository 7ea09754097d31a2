"""Pipeline or policy file to typed tables, or one ConfigError naming everything wrong with it."""

from edgepipe.config.load import load, parse
from edgepipe.config.policy import Policy, load_policy, parse_policy
from edgepipe.config.schema import json_schema, policy_schema

__all__ = [
    "Policy",
    "json_schema",
    "load",
    "load_policy",
    "parse",
    "parse_policy",
    "policy_schema",
]
