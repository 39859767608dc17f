def run(mib: int):
    try:
        artifacts.save("huge", b"A" * (mib << 20))
        return "saved"
    except Exception as error:
        return getattr(error, "code", repr(error))
