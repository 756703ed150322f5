"""A page as a browser without scripts reads it: its texts, tables, links and charts."""

import csv
import io
from html.parser import HTMLParser
from urllib.parse import unquote

VOID = {"meta", "link", "br", "input", "img", "hr"}


class Reader(HTMLParser):
    """Collects tags with their attributes, tables by caption, facts, downloads, headings and the bare text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.tables, self.facts, self.links, self.headings = [], [], {}, {}, []
        self.style = self.script = self.text = ""
        self.codes = []
        self._open, self._buffer, self._name = None, "", ""

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self._close(tag)
        if tag == "table":
            self.tables.append({"class": attributes.get("class", ""), "head": [], "rows": []})
        elif tag == "tr" and self.tables:
            self.tables[-1]["rows"].append([])
        if tag in ("td", "th", "dt", "dd", "h1", "h2", "h3", "code", "style", "script", "title"):
            self._open, self._buffer = (tag, attributes), ""
        if tag == "a" and "download" in attributes:
            head, _, body = attributes["href"].partition(",")
            assert head == "data:text/csv;charset=utf-8"
            self.links.setdefault(attributes["download"], []).append([*csv.reader(io.StringIO(unquote(body)))])

    def handle_endtag(self, tag):
        self._close(tag, ended=True)

    def _close(self, tag, ended=False):
        """A cell ends with its tag, or where the next cell, row or the body's end begins."""
        if self._open is None or not (tag == self._open[0] or tag in ("td", "th", "tr", "tbody", "table")):
            return
        (name, attributes), text = self._open, self._buffer.strip()
        self._open = None
        if name in ("td", "th"):
            row = self.tables[-1]["rows"][-1] if name == "td" else self.tables[-1]["head"]
            row.append(attributes.get("data-v", text) if name == "td" else text)
        elif name == "dt":
            self._name = text
        elif name == "dd":
            self.facts[self._name] = text
        elif name in ("style", "script"):
            setattr(self, name, self._buffer)
        elif name == "code":
            self.codes.append(self._buffer)
        elif name != "title":
            self.headings.append((name, text))

    def handle_data(self, data):
        self._buffer += data
        if self._open is None or self._open[0] not in ("style", "script"):
            self.text += data

    def table(self, *columns):
        """The rows of the table with these columns, each as a mapping."""
        for table in self.tables:
            if set(columns) <= set(table["head"]):
                return [dict(zip(table["head"], row, strict=True)) for row in table["rows"] if row]
        raise KeyError(columns)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader
