"""Parses a page as a browser would."""

from html.parser import HTMLParser


class Parsed(HTMLParser):
    """A page's elements with their attributes, and the text outside styles."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._in_style = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if not self._in_style:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Returns the values of the attribute `name` in all elements that have it."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]
