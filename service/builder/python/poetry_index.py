"""Pages of package indexes, by poetry's own client."""

from urllib.parse import urlsplit

from poetry.config.config import Config
from poetry.repositories.exceptions import PackageNotFoundError
from poetry.repositories.legacy_repository import LegacyRepository
from poetry.repositories.link_sources.json import SimpleJsonPage
from poetry.repositories.pypi_repository import PyPiRepository

from failed import Failed

DEFAULT = PyPiRepository().url


class Index:
    """Pages of an index, each asked for once; again where a file that a lock knows isn't on it."""

    known = {}

    def __init__(self, url):
        self.url = url
        self.pages = {}
        self.client = LegacyRepository("index", url, config=Config.create(), disable_cache=True)

    @classmethod
    def at(cls, url):
        return cls.known.setdefault(url, cls(url))

    def links(self, package):
        """The links of this version, by the name of the file."""
        wanted = {file["file"] for file in package.files}
        for fresh in (False, True):
            if fresh or package.name not in self.pages:
                try:
                    self.pages[package.name] = self.client._get_page(package.name)
                except PackageNotFoundError as error:
                    raise Failed("select", f"it is not on the index {shown(self.url)}, or that does not show it without "
                                 "credentials", package.name) from error
                except Exception as error:
                    # Of several libraries below each other, each with errors of its own.
                    raise Failed("index", f"the index {shown(self.url)} gives no answer: {error}", package.name) from error
            found = links_of(self.pages[package.name], package, wanted)
            if wanted <= found.keys():
                break
        return found


def links_of(page, package, wanted):
    if isinstance(page, SimpleJsonPage):
        # poetry would first read a name and a version out of every file of every release.
        return {file["filename"]: page._make_link(file) for file in page.content["files"] if file["filename"] in wanted}
    return {link.filename: link for link in page.links_for_version(package.name, package.version)}


def shown(url):
    """Without credentials, and the default index by no address."""
    if url == DEFAULT:
        return "that poetry asks by default"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
