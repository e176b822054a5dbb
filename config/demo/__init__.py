"""The demo: the sample catalogue through the real line, over the public API, with the right answers beside the hits.

``sample`` reads what lies in the repository, ``api`` speaks to the site as a shop would, ``show`` prints. The command
``manage.py demo`` puts them in order.
"""
