"""A JSON schema as a check, run as a child like every other check, so that one time limit holds for all.

JSON needs the standard library and fastjsonschema; YAML needs PyYAML too.  Both are pure Python and bundled into the
single file that `make reload-zipapp` makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_OCTETS = 1 << 20


def fault_of(file: Path, schema: Path) -> str:
    """Why the file does not fit, in one sentence; "" = it fits."""
    try:
        import fastjsonschema  # noqa: PLC0415  only where a schema is asked for
    except ImportError:
        return "--schema needs fastjsonschema, which the single-file auto-reload brings along"
    try:
        validate = fastjsonschema.compile(json.loads(schema.read_text("utf-8")))
    except (OSError, ValueError, fastjsonschema.JsonSchemaDefinitionException) as e:
        return f"the schema {schema.name} cannot be used: {type(e).__name__}"
    try:
        content = file.read_bytes()
    except OSError as e:
        return f"{file.name} cannot be read: {e.strerror}"
    if len(content) > MAX_OCTETS:
        return f"{file.name} has more than {MAX_OCTETS} octets"
    try:
        validate(_parsed(file.name, content))
    except fastjsonschema.JsonSchemaValueException as e:
        # e.message holds the path and the rule; the value itself may be long, or nobody's business.
        return f"{file.name}: {e.message.replace('data', 'the document', 1)[:300]}"
    except ImportError:
        return "--schema for YAML needs PyYAML, which the single-file auto-reload brings along"
    except (ValueError, RecursionError) as e:
        return f"{file.name} cannot be parsed: {_first_line(e)}"
    return ""


def _parsed(name: str, content: bytes) -> Any:
    if name.endswith(".json"):
        return json.loads(content)
    import yaml  # noqa: PLC0415  only where YAML is asked for

    try:
        return yaml.safe_load(content)
    except yaml.MarkedYAMLError as e:
        where = f" in line {e.problem_mark.line + 1}" if e.problem_mark else ""
        raise ValueError(f"{e.problem}{where}") from None
    except yaml.YAMLError as e:
        raise ValueError(_first_line(e)) from None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
