"""Compute statistics of a text: words, sentences, reading time, most frequent words."""


def run(text: str, top_words: int = 5, shortest_word: int = 4) -> dict:
    """Count what a text is made of.

    Args:
        text: The text
        top_words: How many of the most frequent words to list
        shortest_word: How many letters a word has at least to be listed

    Returns:
        characters, words, distinct_words, sentences, paragraphs, average_word_length,
        reading_minutes (at 200 words a minute) and most_frequent

    Raises:
        ValueError: If top_words is negative
    """
    import re
    from collections import Counter

    if top_words < 0:
        raise ValueError(f"top_words is {top_words}; use at least 0")
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)]
    counts = Counter(word for word in words if len(word) >= shortest_word)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "characters": len(text),
        "words": len(words),
        "distinct_words": len(set(words)),
        "sentences": len(re.findall(r"[^.!?…。]*\w[^.!?…。]*", text)),
        "paragraphs": sum(1 for part in re.split(r"\n\s*\n", text) if part.strip()),
        "average_word_length": round(sum(map(len, words)) / len(words), 2) if words else 0.0,
        "reading_minutes": round(len(words) / 200, 1),
        "most_frequent": [{"word": word, "count": count} for word, count in ranked[:top_words]],
    }
