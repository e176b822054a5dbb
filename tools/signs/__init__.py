"""Photos of traffic signs, drawn: a labelled folder of something that is no merchandise (docs/domains.md)."""
