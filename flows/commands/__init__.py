"""What people type: one file a command or family, each importing what it needs only when it runs."""
