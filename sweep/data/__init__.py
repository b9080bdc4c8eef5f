"""Events: reading, checking, caching, making, splitting, describing (import from the modules)."""
