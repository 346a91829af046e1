"""The chat of the Channels tutorial: the site that every contender runs."""
