"""What goes in and out, as serializers: one module a resource. They check form; the rules live in services."""
