"""What goes in and out, a file per route file. Unknown fields are errors."""
