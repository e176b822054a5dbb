"""How static files are named in production: by their content, those that scripts import included.

Chosen in ``settings``; runs when ``manage.py prepare`` collects the files. Each name can then be cached for ever.
"""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModules(CompressedManifestStaticFilesStorage):
    """Also rewrites ``import … from "./other.js"`` to the hashed name."""

    support_js_module_import_aggregation = True
