"""Checks a built site: every link, picture and script inside the site leads to an existing file and to an existing place."""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

IN_SCRIPTS = {"search.html"}  # pages whose places a script makes


class Page(HTMLParser):
    """What a page links to, and the places in it that links may name."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


@cache
def page(path):
    return Page(path)


def pages_of(site):
    """Return all pages, without the files of the theme."""
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def broken(site):
    """Return the links that lead nowhere, each with its page."""
    for path in pages_of(site):
        for link in page(path).links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            if not file.exists():
                yield path, link
            elif target.fragment and file.suffix == ".html" and file.name not in IN_SCRIPTS:
                if unquote(target.fragment) not in page(file).places:
                    yield path, link


if __name__ == "__main__":
    top = Path(sys.argv[1]).resolve()
    pages = pages_of(top)
    wrong = [f"{path.relative_to(top)}: {link}" for path, link in broken(top)]
    print(*wrong, f"{len(pages)} pages, {len(wrong)} links that lead nowhere", sep="\n")
    sys.exit(bool(wrong) or len(pages) < 10)
