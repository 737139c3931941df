"""What people click: `actions` does the work, `layout` shows it in a browser."""
