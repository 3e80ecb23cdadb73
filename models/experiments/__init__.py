"""Who is in which experiment and arm, as planning needs it; what came of it is judged in `monitoring`."""
