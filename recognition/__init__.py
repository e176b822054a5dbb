"""The science of Vitrine: from a photo's bytes to a product, with PyTorch and a vector index.

Comes after ``workers`` (which calls it) and before nothing of ours: this package imports no other package of the
project, no Django and no Celery, so it can be trained, tested and measured alone. This file stays empty on purpose:
the web process may import ``recognition.photos`` and ``recognition.store`` without paying for torch.
"""
