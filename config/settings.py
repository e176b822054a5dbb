"""Django's settings: wiring only, every value that an operator may change comes from ``config.env``."""

from pathlib import Path
from typing import Any

import dj_database_url
from django.templatetags.static import static
from django.urls import reverse_lazy

from config.env import ROOT, load_env
from config.logs import QUIET

ENV = load_env()
PRODUCTION = ENV.mode == "production"

SECRET_KEY = ENV.secret_key
DEBUG = False
IS_HTTPS = PRODUCTION and ENV.public_url.startswith("https://")
ALLOWED_HOSTS = [host.strip() for host in ENV.allowed_hosts.split(",") if host.strip()]
ALLOWED_HOSTS += ["127.0.0.1"]  # health checks ask there
CSRF_TRUSTED_ORIGINS = [ENV.public_url] if PRODUCTION else []

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "catalog",
    "config",
]

MIDDLEWARE = [
    "catalog.api.requests.named_requests",
    "config.policy.PolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "catalog" / "web" / "templates", ROOT / "catalog" / "admin" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


CONNECTION_SECONDS = 60


def _database() -> dict[str, Any]:
    """The one database. SQLite gets a write-ahead log and takes its write lock at the start of a transaction.

    A thread keeps its connection for what it does next, and asks it first whether it still lives: the web's threads are
    few (``config.threads``), the coordinator's too. To open one costs as much as a small task; and whoever closes
    SQLite's last one writes its whole log back into the file, with an fsync, while somebody waits for a search.
    """
    database: dict[str, Any] = {**dj_database_url.parse(ENV.database)}
    database |= {"CONN_MAX_AGE": CONNECTION_SECONDS, "CONN_HEALTH_CHECKS": True}
    if database["ENGINE"].endswith("sqlite3"):
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        database["OPTIONS"] = {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        }
    return database


DATABASES = {"default": _database()}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]  # of the search page; see catalog.web.language
LOCALE_PATHS = [ROOT / "catalog" / "locale"]  # named, so that our words go before those of other apps
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = ENV.var / "static"
STATICFILES_DIRS = [ROOT / "catalog" / "web" / "static", ROOT / "catalog" / "admin" / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "config.assets.HashedModules"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # larger files are spooled to disk, never held in memory
DATA_UPLOAD_MAX_MEMORY_SIZE = 40_000_000  # a JSON body that carries a photo as base64

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]  # asked from inside, without the proxy
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_HTTPS else 0
# Whether the hosts below this one, or browsers' own lists, take part is for whoever owns the domain: the proxy can say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["catalog.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["catalog.api.authentication.HasMerchant"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "catalog.api.pagination.Cursor",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "catalog.api.errors.problem_details",
    "COERCE_DECIMAL_TO_STRING": True,
    "DEFAULT_VERSIONING_CLASS": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Vitrine API",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "PATH_CONVERTER_OVERRIDES": {"sku": str},
    "COMPONENT_SPLIT_REQUEST": True,
    "WEBHOOKS": "catalog.api.webhooks.WEBHOOKS",
    "ENUM_NAME_OVERRIDES": {  # several resources have a kind
        "KeyKindEnum": "catalog.models.KeyKind",
        "UploadKindEnum": "catalog.api.shapes.upload.KINDS",
    },
}

UNFOLD = {
    "SITE_TITLE": "Vitrine",
    "SITE_HEADER": "Vitrine",
    "SITE_SYMBOL": "center_focus_weak",
    "SITE_URL": "/",
    "LOGIN": {"form": "catalog.web.login.GuardedLogInForm"},
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("vitrine/mark.svg")},
    ],
    "SHOW_HISTORY": True,
    "STYLES": [lambda request: static("vitrine/admin.css")],
    "SCRIPTS": [lambda request: static("vitrine/admin.js")],
    "DASHBOARD_CALLBACK": "catalog.admin.dashboard.dashboard",
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .014 163)",
            "100": "oklch(94.5% .03 163)",
            "200": "oklch(89% .055 163)",
            "300": "oklch(81.5% .085 163)",
            "400": "oklch(72% .105 163)",
            "500": "oklch(62% .11 163)",
            "600": "oklch(47% .097 163)",
            "700": "oklch(41% .085 163)",
            "800": "oklch(35% .07 163)",
            "900": "oklch(30% .056 163)",
            "950": "oklch(22% .042 163)",
        },
    },
    "SIDEBAR": {"navigation": "catalog.admin.navigation.navigation"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.logs.formatter", "style": ENV.log_format}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django.server": {"level": "WARNING"}, **{name: {"level": "WARNING"} for name in QUIET}},
}
