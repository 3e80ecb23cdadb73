"""Policy: what may be pushed. One file a rule; `registry.py` lists them."""
