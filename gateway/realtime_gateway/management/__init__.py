"""Commands of ``manage.py``; Django finds them by their place. Imports whatever a command needs."""
