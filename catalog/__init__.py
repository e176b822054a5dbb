"""The Django app: what merchants sell, the jobs they ask for, what reviewers decide. The only package with SQL.

Services write, selectors read, ``api``, ``admin``, ``web`` and ``tasks`` translate. It speaks to the workers through
``workers.client`` and ``workers.contract`` alone, and never loads torch.
"""
