"""The conversations on a server whose connections may be idle for one second, in place of Twisted's minute."""

from functools import partialmethod

from conversations import application  # noqa: F401
from twisted.web.http import HTTPFactory

HTTPFactory.__init__ = partialmethod(HTTPFactory.__init__, timeout=1)
