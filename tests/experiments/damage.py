"""Random damage to the content of a file."""

WORDS = [bytes(8), b"\xff" * 8, (10**18).to_bytes(8, "little"), b"99999999", b"0000000\0"]


def damaged(content, rng):
    """Returns content with damage at random places."""
    content = bytearray(content)
    kind = rng.choice(["cut", "bytes", "word", "swap", "twice", "drop"])
    place, other = sorted(rng.randrange(len(content)) for _ in range(2))
    if kind == "cut":
        del content[place:]
    elif kind == "bytes":
        for _ in range(rng.choice([1, 10, 100])):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == "word":
        content[place : place + 8] = rng.choice(WORDS)
    elif kind == "swap":
        content[place : place + 64], content[other : other + 64] = (
            content[other : other + 64],
            content[place : place + 64],
        )
    elif kind == "twice":
        content[place:place] = content[place:other]
    else:
        del content[place:other]
    return bytes(content)
