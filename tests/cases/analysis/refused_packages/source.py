# /// script
# dependencies = ["pyyaml==6.0.3"
# ///
def run():
    return 1
