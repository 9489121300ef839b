"""Checks of one constant input: its type, its range, its list."""

from __future__ import annotations

from typing import Any

Error = dict[str, Any]

# A longer list is not sent back to the client; only its length is.
_LONGEST_LIST_SHOWN = 20


def convert(value: Any, kind: Any) -> Any:
    """The value as the node receives it; raises what Python's own conversion raises."""
    if kind == "INT":
        return int(value)
    if kind == "FLOAT":
        return float(value)
    if kind == "STRING":
        return str(value)
    if kind == "BOOLEAN":
        return bool(value)
    return value


def bounds_error(name: str, value: Any, kind: Any, options: dict[str, Any]) -> Error | None:
    info = {"input_name": name, "input_config": [kind, options], "received_value": value}
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return {"type": "value_smaller_than_min", "message": message, "details": name, "extra_info": info}
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return {"type": "value_bigger_than_max", "message": message, "details": name, "extra_info": info}
    return None


def choice_error(name: str, value: Any, kind: Any, options: dict[str, Any]) -> Error | None:
    if isinstance(kind, list):
        choices = kind
    elif kind == "COMBO":
        choices = options.get("options", [])
    else:
        return None
    several = options.get("multiselect", False) and isinstance(value, list)
    wrong = [item for item in (value if several else [value]) if item not in choices]
    if not wrong:
        return None
    config: list[Any] | None = [kind, options]
    shown = str(choices)
    if len(choices) > _LONGEST_LIST_SHOWN:
        config, shown = None, f"(list of length {len(choices)})"
    return {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": f"{name}: {', '.join(repr(item) for item in wrong)} not in {shown}",
        "extra_info": {"input_name": name, "input_config": config, "received_value": value},
    }
