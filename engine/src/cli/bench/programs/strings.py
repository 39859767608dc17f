"""Text: splitting, joining, replacing, formatting."""


def run():
    line = "the quick brown fox jumps over the lazy dog"
    total = 0
    for i in range(2500):
        words = [word.upper() if len(word) > 3 else word for word in line.split(" ")]
        text = "-".join(words).replace("FOX", str(i))
        total += len(text) + text.find("DOG") + len(f"{i:>8}|{text[::2]}")
    return total
