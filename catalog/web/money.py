"""Prices as people read them; used by the search page and the admin, after a price has left SQL."""

from decimal import Decimal

_SIGNS = {
    "EUR": "€",
    "USD": "$",
    "GBP": "£",
    "JPY": "¥",
    "CNY": "CN¥",
    "KRW": "₩",
    "INR": "₹",
    "BRL": "R$",
    "CAD": "CA$",
    "AUD": "A$",
    "NZD": "NZ$",
    "HKD": "HK$",
    "ILS": "₪",
    "TRY": "₺",
    "UAH": "₴",
    "VND": "₫",
}
_WITHOUT_CENTS = {"CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"}


def format_price(amount: Decimal | None, currency: str) -> str:
    """``€1,234.50``, ``¥980``, ``1,234.50 SEK``; empty where there is no price."""
    if amount is None:
        return ""
    number = f"{amount:,.0f}" if currency in _WITHOUT_CENTS else f"{amount:,.2f}"
    if sign := _SIGNS.get(currency):
        return f"{sign}{number}"
    return f"{number} {currency}".strip()
