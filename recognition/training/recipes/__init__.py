"""Whole trainings of well-known tasks (`python -m recognition.training recipe NAME`): what is told, can be repeated.

    cifar.py       the 60,000 photos as two arrays        networks.py   four networks for them
    plans.py       the settings of each recipe            training.py   the loop that follows a plan
    fusion.py      photo, words and price against photo alone, on a catalogue
    command.py     the command line

Apart from the bundles of the service: nothing here is served. Used by __main__.py only.
"""
