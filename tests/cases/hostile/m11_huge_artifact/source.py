import wit_world.imports.artifacts as host


def run(mib: int, text: bool = False, raw: bool = False):
    value = b"A" * (mib << 20)
    try:
        if raw:  # in one piece, past the facade
            host.save("huge", host.Content_Binary(value), host.SaveOptions("", "", None))
        else:
            artifacts.save("huge", value.decode() if text else value)
        return "saved"
    except Exception as error:
        return getattr(error, "code", repr(error))
