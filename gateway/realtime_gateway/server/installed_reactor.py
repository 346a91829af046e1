"""Import this before anything of Daphne or autobahn: importing it installs the reactor (see ``reactor``)."""

from realtime_gateway.server.reactor import install_reactor

install_reactor()
