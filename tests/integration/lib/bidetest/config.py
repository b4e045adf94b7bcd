"""Python values as a libconfig file: dict -> group, list -> list, str, bool, int, float."""


def value_text(value, indent=""):
    deeper = indent + "  "
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        rows = "".join(f"{deeper}{key} = {value_text(item, deeper)};\n" for key, item in value.items())
        return "{\n" + rows + indent + "}"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(value_text(item, deeper) for item in value) + " )"
    raise TypeError(f"no libconfig for {value!r}")


def config_text(settings):
    return "".join(f"{key} = {value_text(item)};\n" for key, item in settings.items())
