"""What stands behind the review verbs (``services.review``): claims, references, what is remembered, undoing."""
