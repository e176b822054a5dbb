"""What people see outside the admin: the search-by-photo page, and the photos that every page shows."""
