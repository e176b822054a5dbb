"""Makes bundles (`python -m recognition.training`): data, augmentation, losses, loop, evaluation, calibration, export.

Comes before everything that serves, and runs apart from it: nothing outside this folder imports it.
"""
